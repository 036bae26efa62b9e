"""Nodes on file systems that are really full: nothing is lost, reads go on, and so does the node once there is room."""

import os
import subprocess
import time

from processes import ScratchTest, free_port, wait_until

MB = 1 << 20

# Says what it did, a line each: the result code of every INSERT, and what was asked.
WRITER = """
node = connect(sys.argv[1])
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    try:
        if word == "rows":  # of 20 kB each, FIRST to LAST; stops at the first that is refused
            first, last = map(int, rest.split())
            result = "done"
            for row in range(first, last + 1):
                try: node.execute("INSERT OR REPLACE INTO t VALUES(?, randomblob(20000))", (row,))
                except sqlite3.Error as error:
                    result = error.sqlite_errorname if error.sqlite_errorcode < 256 else str(error.sqlite_errorcode)
                    result += f" at {row}"
                    break
            print(result, flush=True)
        else:
            print(*[value for row in node.execute(line) for value in row], flush=True)
    except sqlite3.Error as error:
        print("error", error.sqlite_errorcode, error, flush=True)
"""


class Program:
    def __init__(self, test, uri):
        self.process = test.start(WRITER, uri, prefix=test.inside)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


class FullDiskTest(ScratchTest):
    """Each small disk is a tmpfs, in a mount namespace that ends with the test."""

    def make_disks(self, **megabytes):
        mounts = []
        for name, size in megabytes.items():
            (self.directory / name).mkdir()
            mounts.append(f"mount -t tmpfs -o size={size}m none '{self.directory / name}'")
        holder = subprocess.Popen(["unshare", "-Urm", "sh", "-c", " && ".join(mounts + ["echo up", "exec cat"])],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def end():
            holder.kill()
            holder.communicate()
        self.addCleanup(end)
        if holder.stdout.readline() != "up\n":
            self.skipTest(f"no user namespace with a file system of its own: {holder.stderr.read().strip()}")
        self.inside = ["nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials"]
        self.root = f"/proc/{holder.pid}/root"

    def path(self, name):
        return f"{self.root}{self.directory}/{name}"

    def free(self, name):
        found = os.statvfs(self.path(name))
        return found.f_bavail * found.f_frsize

    def fill(self, name):
        """Until not a byte is left."""
        with open(self.path(name + "/filler"), "ab", buffering=0) as filler:
            for size in (MB, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    pass

    def empty(self, name):
        os.unlink(self.path(name + "/filler"))

    def node(self, name, parameters=""):
        return Program(self, f"file:{self.directory}/{name}/app.db?vfs=dqlite&timeout=20000{parameters}")

    def fill_until_refused(self, node, name):
        """Returns the code of the refusal."""
        for _ in range(100):
            self.fill(name)
            said = node.ask("rows 1 200")
            if said != "done":
                return said.split()[0]
        self.fail("a full disk takes everything")

    def test_the_log_of_a_small_disk_leaves_room_for_the_database(self):
        self.make_disks(n1=64)
        node = self.node("n1")
        node.ask("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        # Nine times the disk goes through the log.
        for _ in range(150):
            said = node.ask("rows 1 200")
            if said != "done":  # more quickly than checkpoints give space back: never for long
                self.assertEqual("SQLITE_FULL", said.split()[0])
                wait_until(lambda: node.ask("rows 1 200") == "done", "space that the log gives back")
            if self.free("n1") < MB:
                wait_until(lambda: self.free("n1") > MB, "space that the log gives back")
        self.assertEqual("200 ok", node.ask("SELECT count(*), (SELECT * FROM pragma_integrity_check) FROM t"))

    def test_a_node_on_a_full_disk_refuses_and_reads_and_goes_on(self):
        self.make_disks(n1=64)
        node = self.node("n1")
        node.ask("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        self.assertEqual("done", node.ask("rows 1 200"))
        self.assertEqual("SQLITE_FULL", self.fill_until_refused(node, "n1"))
        self.assertIn("no space is left for the log", node.ask("SELECT dqlite_last_error()"))
        self.assertEqual("200", node.ask("SELECT count(*) FROM t"))
        self.assertEqual("leader", node.ask("SELECT value FROM dqlite_status WHERE name = 'state'"))
        wait_until(lambda: "no space is left" in node.ask("SELECT value FROM dqlite_status WHERE name = 'warning'"),
                   "a warning")
        self.empty("n1")
        wait_until(lambda: node.ask("rows 201 201") == "done", "the node to go on")
        self.assertEqual("201 ok", node.ask("SELECT count(*), (SELECT * FROM pragma_integrity_check) FROM t"))

    def test_a_node_that_is_killed_on_a_full_disk_starts_again(self):
        self.make_disks(n1=64)
        node = self.node("n1")
        node.ask("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        self.assertEqual("done", node.ask("rows 1 200"))
        self.fill_until_refused(node, "n1")
        node.kill()
        node = self.node("n1")
        self.assertEqual("200", node.ask("SELECT count(*) FROM t"))
        self.empty("n1")
        wait_until(lambda: node.ask("rows 201 201") == "done", "the node to go on")
        self.assertEqual("201 ok", node.ask("SELECT count(*), (SELECT * FROM pragma_integrity_check) FROM t"))

    def test_a_leader_with_a_full_disk_leaves_it_to_others(self):
        names = ("n1", "n2", "n3")
        self.make_disks(n1=64, n2=200, n3=200)
        ports = {name: free_port() for name in names}
        nodes = {name: self.node(name, f"&listen=127.0.0.1:{ports[name]}") for name in names}
        nodes["n1"].ask("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        for name in ("n2", "n3"):
            nodes[name].ask(f"SELECT dqlite_join('127.0.0.1:{ports['n1']}')")
        wait_until(lambda: nodes["n1"].ask("SELECT count(*) FROM dqlite_cluster WHERE role = 'voter'") == "3", "voters")
        self.assertEqual("done", nodes["n1"].ask("rows 1 50"))

        def leader():
            said = nodes["n3"].ask("SELECT dqlite_leader()")
            return next((name for name in names if said == f"127.0.0.1:{ports[name]}"), None)
        deadline = time.monotonic() + 60
        while leader() == "n1":
            self.assertLess(time.monotonic(), deadline, "n1 leads on")
            self.fill("n1")
            nodes["n1"].ask("rows 1 50")
        wait_until(lambda: leader() not in (None, "n1"), "another leader")
        wait_until(lambda: leader() and nodes[leader()].ask("rows 51 60") == "done", "the new leader to write")
        self.assertEqual("50", nodes["n1"].ask("SELECT count(*) FROM t WHERE id <= 50"))
        self.empty("n1")
        wait_until(lambda: nodes["n1"].ask("SELECT count(*) FROM t") == "60", "n1 to have what was written")
        wait_until(lambda: leader() and
                   nodes[leader()].ask("SELECT group_concat(result) FROM dqlite_verify") == "ok,ok,ok", "equal copies")
