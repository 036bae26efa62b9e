"""How a process ends: in order, from inside a statement, while COMMIT waits, by a signal."""

import selectors
import signal

from processes import ScratchTest, free_port

PATIENCE = 20  # seconds; the promise is 2, a loaded machine may need more


class ExitTest(ScratchTest):
    def setUp(self):
        super().setUp()
        for name in ("n1", "n2", "n3"):
            (self.directory / name).mkdir()

    def member(self, name, port, join):
        """A process that is made a voter and waits for a line before it ends in order."""
        process = self.start("""
node = connect(sys.argv[1])
print(node.execute("SELECT dqlite_role(id, 'voter') FROM dqlite_cluster WHERE is_self").fetchone()[0], flush=True)
for line in sys.stdin:
    if line == "leader\\n":
        while not node.execute("SELECT count(*) FROM dqlite_cluster WHERE is_self AND is_leader").fetchone()[0]:
            time.sleep(0.01)
        node.execute("INSERT INTO t VALUES('by the next leader')")
        print("leader", flush=True)
    else:
        break
""", f"file:{name}/app.db?vfs=dqlite&listen=127.0.0.1:{port}&join=127.0.0.1:{join}")
        self.assertEqual("voter\n", process.stdout.readline())
        return process

    def test_an_orderly_exit_leaves_every_row_in_the_file(self):
        self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
for x in range(100): node.execute("INSERT INTO t VALUES(?)", (x,))
""")
        self.assertEqual(["100", "delete"], self.stock("n1/app.db", "SELECT count(*) FROM t; PRAGMA journal_mode"))

    def test_exit_from_inside_a_statement_ends_at_once(self):
        self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
node.execute("INSERT INTO t VALUES(1)")
node.create_function("leave", 0, lambda: ctypes.CDLL(None).exit(3))
node.execute("INSERT INTO t SELECT leave() FROM t")
""", code=3, timeout=PATIENCE)
        self.assertEqual(["1", "ok"], self.stock("n1/app.db", "SELECT count(*) FROM t; PRAGMA integrity_check"))

    def test_exit_in_one_thread_while_others_write_loses_no_acknowledged_row(self):
        said = self.program("""
uri = "file:n1/app.db?vfs=dqlite"
connect(uri).execute("CREATE TABLE t(x)")
def write(number):
    node = connect(uri)
    for x in range(10**9):
        node.execute("INSERT INTO t VALUES(?)", (f"{number}-{x}",))
        os.write(1, f"{number}-{x}\\n".encode())
for number in range(4): threading.Thread(target=write, args=(number,), daemon=True).start()
time.sleep(0.5)
ctypes.CDLL(None).exit(0)
""", timeout=PATIENCE)
        rows = set(self.stock("n1/app.db", "SELECT x FROM t"))
        self.assertGreater(len(rows), 0)
        self.assertEqual(set(), set(said.split()) - rows)

    def test_exit_while_a_commit_waits_for_a_majority_ends(self):
        ports = [free_port() for _ in range(2)]
        first = self.start("""
uri = sys.argv[1]
node = connect(uri)
node.execute("CREATE TABLE t(x)")
print("up", flush=True)
sys.stdin.readline()
def write():
    os.write(1, b"writing\\n")
    node.execute("INSERT INTO t VALUES(1)")
threading.Thread(target=write, daemon=True).start()
sys.stdin.readline()
ctypes.CDLL(None).exit(0)
""", f"file:n1/app.db?vfs=dqlite&listen=127.0.0.1:{ports[0]}&timeout=60000")
        self.assertEqual("up\n", first.stdout.readline())
        second = self.member("n2", ports[1], ports[0])
        second.kill()
        second.wait()
        first.stdin.write("now\n")
        first.stdin.flush()
        self.assertEqual("writing\n", first.stdout.readline())
        first.stdin.write("leave\n")
        first.stdin.flush()
        self.assertEqual(0, first.wait(PATIENCE))

    def test_a_leader_that_ends_in_order_hands_over_to_a_node_that_can_write(self):
        ports = [free_port() for _ in range(3)]
        first = self.start("""
node = connect(sys.argv[1])
node.execute("CREATE TABLE t(x)")
print("up", flush=True)
sys.stdin.readline()
""", f"file:n1/app.db?vfs=dqlite&listen=127.0.0.1:{ports[0]}")
        self.assertEqual("up\n", first.stdout.readline())
        second = self.member("n2", ports[1], ports[0])
        third = self.member("n3", ports[2], ports[0])
        first.stdin.write("leave\n")
        first.stdin.flush()
        self.assertEqual(0, first.wait(PATIENCE))
        # Whichever of the two leads now says so, and its own write succeeds.
        with selectors.DefaultSelector() as selector:
            for process in (second, third):
                process.stdin.write("leader\n")
                process.stdin.flush()
                selector.register(process.stdout, selectors.EVENT_READ)
            ready = selector.select(PATIENCE)
            self.assertTrue(ready, "nobody leads after the leader ended in order")
            self.assertEqual("leader\n", ready[0][0].fileobj.readline())

    def test_ctrl_c_reaches_the_program_and_not_the_node(self):
        # A test run that is a shell's background job inherits SIGINT ignored, and Python then installs no handler.
        process = self.start("""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
try:
    print("up", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    node.execute("INSERT INTO t VALUES('after the signal')")
    print("interrupted", flush=True)
""")
        self.assertEqual("up\n", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        self.assertEqual("interrupted\n", process.stdout.readline())
        self.assertEqual(0, process.wait(PATIENCE))
        self.assertEqual(["after the signal"], self.stock("n1/app.db", "SELECT * FROM t"))
