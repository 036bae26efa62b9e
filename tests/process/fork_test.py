"""fork(): the parent goes on, the child gets a clear error and never hangs or holds the node's locks [B6]."""

import os
import signal

from processes import ScratchTest


class ForkTest(ScratchTest):
    def test_a_child_is_told_that_the_node_is_its_parents_and_the_parent_goes_on(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
child = os.fork()
if child == 0:
    code, sentence = refusal(node, "INSERT INTO t VALUES('child')")
    os.write(1, f"child: {code != 0}\\n".encode())
    code, sentence = refusal(node, "SELECT * FROM t")
    os.write(1, f"child: {code != 0}\\n".encode())
    os._exit(0)
os.waitpid(child, 0)
node.execute("INSERT INTO t VALUES('parent')")
print(node.execute("SELECT * FROM t").fetchall())
""")
        self.assertEqual("child: True\nchild: True\n[('parent',)]\n", said)

    def test_a_child_that_ends_in_order_leaves_the_parents_node_alone(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
for _ in range(5):
    child = os.fork()
    if child == 0: sys.exit(0)  # closes the handle, runs atexit handlers
    print(os.waitpid(child, 0)[1])
    node.execute("INSERT INTO t VALUES(1)")
print(node.execute("SELECT count(*) FROM t").fetchall())
""")
        self.assertEqual("0\n" * 5 + "[(5,)]\n", said)
        self.assertEqual(["5", "ok"], self.stock("n1/app.db", "SELECT count(*) FROM t; PRAGMA integrity_check"))

    def test_a_child_that_outlives_a_killed_parent_does_not_hold_the_node(self):
        (self.directory / "n1").mkdir()
        parent = self.start("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
child = os.fork()
if child == 0:
    time.sleep(600)
    os._exit(0)
print(child, flush=True)
time.sleep(600)
""")
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            said = self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("INSERT INTO t VALUES(1)")
print("open")
""")
            self.assertEqual("open\n", said)
        finally:
            os.kill(child, signal.SIGKILL)

    def test_a_program_that_was_started_by_the_process_does_not_hold_the_node(self):
        (self.directory / "n1").mkdir()
        parent = self.start("""
import subprocess
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
inherited = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout
child = subprocess.Popen(["sleep", "600"], close_fds=False)
print(child.pid, [line for line in inherited.splitlines() if "/n1/" in line or "event" in line], flush=True)
time.sleep(600)
""")
        child, _, inherited = parent.stdout.readline().partition(" ")
        try:
            self.assertEqual("[]\n", inherited)
            parent.kill()
            parent.wait()
            self.assertEqual("open\n", self.program('connect("file:n1/app.db?vfs=dqlite").execute("SELECT * FROM t"); print("open")'))
        finally:
            os.kill(int(child), signal.SIGKILL)

    def test_a_server_may_load_first_and_fork_later(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
connect(":memory:")  # loads the extension
child = os.fork()
if child == 0:
    node = connect("file:n1/app.db?vfs=dqlite")
    node.execute("CREATE TABLE t(x)")
    sys.exit(0)
print(os.waitpid(child, 0)[1])
node = connect("file:n1/app.db?vfs=dqlite")
print(node.execute("SELECT name FROM sqlite_schema").fetchall())
""")
        self.assertEqual("0\n[('t',)]\n", said)

    def test_a_child_of_a_process_whose_open_failed_has_nodes_of_its_own(self):
        (self.directory / "n1").mkdir()
        self.program('connect("file:n1/app.db?vfs=dqlite").execute("CREATE TABLE before(x)")')
        said = self.program("""
import socket
taken = socket.create_server(("127.0.0.1", 0))
try: connect("file:n1/app.db?vfs=dqlite&listen=127.0.0.1:%d" % taken.getsockname()[1])
except sqlite3.OperationalError as error: print(error)
taken.close()
child = os.fork()
if child == 0:
    node = connect("file:n1/app.db?vfs=dqlite")
    node.execute("CREATE TABLE t(x)")
    sys.exit(0)  # in order: what is committed goes into the file
print(os.waitpid(child, 0)[1])
""")
        self.assertEqual("unable to open database file\n0\n", said)
        self.assertEqual(["before", "t"], self.stock("n1/app.db", "SELECT name FROM sqlite_schema"))

    def test_a_child_that_forks_in_turn_does_not_hang(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0: os._exit(0)
    os._exit(os.waitpid(grandchild, 0)[1])
print(os.waitpid(child, 0)[1])
""")
        self.assertEqual("0\n", said)

    def test_multiprocessing_works_beside_a_node(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
import multiprocessing
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
def work(x): return x * x
with multiprocessing.get_context("fork").Pool(2) as pool:
    for x in pool.map(work, range(4)): node.execute("INSERT INTO t VALUES(?)", (x,))
print(node.execute("SELECT sum(x) FROM t").fetchall())
""")
        self.assertEqual("[(14,)]\n", said)
