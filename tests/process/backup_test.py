"""Backups while others write, those of SQLite's own API, and the way back."""

import sqlite3

from processes import ScratchTest, free_port, wait_until

WRITER = """
node = connect(sys.argv[1])
node.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, pad)")
node.executemany("INSERT INTO account(amount, pad) VALUES(0, randomblob(?))", [(1500,)] * 200)
print("up", flush=True)
sys.stdin.readline()
for i in range(10**9):
    node.execute("BEGIN IMMEDIATE")
    node.execute("UPDATE account SET amount = amount + ?, pad = randomblob(1500) WHERE id = ?", (i, i * 37 % 200 + 1))
    node.execute("UPDATE account SET amount = amount - ?, pad = randomblob(1500) WHERE id = ?", (i, i * 53 % 200 + 1))
    node.execute("COMMIT")
    if i % 100 == 0: node.execute("SELECT dqlite_checkpoint()").fetchall()
"""

READER = """
node = connect(sys.argv[1])
if sys.argv[2]: node.execute("SELECT dqlite_join(?)", (sys.argv[2],)).fetchall()
print("up", flush=True)
for line in sys.stdin:
    index, = node.execute("SELECT dqlite_backup(?)", (line.strip(),)).fetchone()
    print(index, flush=True)
"""


class BackupTest(ScratchTest):
    def expect(self, process, line):
        said = process.stdout.readline()
        self.assertEqual(line + "\n", said, said + process.stdout.read() if said != line + "\n" else "")

    def back_up(self, process, path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    def check(self, path):
        self.assertEqual(["ok", "0|200", "delete"], self.stock(
            path, "PRAGMA integrity_check; SELECT sum(amount), count(*) FROM account; PRAGMA journal_mode"))

    def test_each_backup_taken_while_another_node_writes_is_one_state(self):
        ports = {name: free_port() for name in ("n1", "n2")}
        uris = {name: f"file:{name}/app.db?vfs=dqlite&listen=127.0.0.1:{port}" for name, port in ports.items()}
        for name in ports:
            (self.directory / name).mkdir()
        writer = self.start(WRITER, uris["n1"])
        self.expect(writer, "up")
        follower = self.start(READER, uris["n2"], f"127.0.0.1:{ports['n1']}")
        self.expect(follower, "up")
        writer.stdin.write("go\n")
        writer.stdin.flush()
        indexes = []
        for i in range(20):
            if i > 0:
                wait_until(lambda: self.stock("n2/app.db", "SELECT max(amount) FROM account") != before, "a checkpoint")
            before = self.stock("n2/app.db", "SELECT max(amount) FROM account")
            indexes.append(self.back_up(follower, f"backup-{i}.db"))
            self.check(f"backup-{i}.db")
        # Two may be of the same state: what is waited for reaches the file after it can be backed up.
        self.assertEqual(sorted(indexes), indexes)
        self.assertLess(indexes[0], indexes[-1])
        self.assertIsNone(writer.poll(), "the writer goes on")

    def test_an_interrupted_backup_leaves_nothing(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
node.executemany("INSERT INTO t VALUES(randomblob(4000000))", [()] * 15)
os.mkdir("backup")
def interrupt():
    while not os.listdir("backup"): pass
    node.interrupt()
for i in range(100):  # it may be done before it is interrupted
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        node.execute("SELECT dqlite_backup('backup/app.db')").fetchall()
        thread.join()
        os.remove("backup/app.db")
    except sqlite3.OperationalError as error:
        thread.join()
        print(error.sqlite_errorname, error, os.listdir("backup"), flush=True)
        break
print(*node.execute("SELECT count(*) FROM t").fetchone())
node.execute("SELECT dqlite_backup('backup/app.db')").fetchall()
print(os.listdir("backup"))
""")
        self.assertEqual(["SQLITE_INTERRUPT interrupted []", "15", "['app.db']"], said.splitlines())

    def test_a_process_killed_in_the_middle_leaves_no_file_of_that_name(self):
        (self.directory / "n1").mkdir()
        (self.directory / "backup").mkdir()
        node = self.start("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
node.executemany("INSERT INTO t VALUES(randomblob(4000000))", [()] * 15)
print("up", flush=True)
for i in range(1000):
    node.execute("SELECT dqlite_backup(?)", (f"backup/{i}.db",)).fetchall()
    if i > 0: os.remove(f"backup/{i - 1}.db")
""")
        self.expect(node, "up")
        backup = self.directory / "backup"
        wait_until(lambda: list(backup.glob("[1-9]*.part")), "a second backup that is being written")
        node.kill()
        node.wait()
        for path in backup.glob("*.db"):
            self.assertEqual(["ok", "15"], self.stock(path, "PRAGMA integrity_check; SELECT count(*) FROM t"))

    def test_the_backup_api_copies_from_a_node_and_into_one(self):
        for name in ("n1", "n2"):
            (self.directory / name).mkdir()
        said = self.program("""
def filled(page_size, rows):
    memory = sqlite3.connect(":memory:")
    memory.execute(f"PRAGMA page_size = {page_size}")
    memory.execute("CREATE TABLE t(x)")
    memory.executemany("INSERT INTO t VALUES(?)", ((i,) for i in range(rows)))
    memory.commit()
    return memory
def look(connection):
    return [row[0] for row in (connection.execute(sql).fetchone() for sql in
            ("PRAGMA integrity_check", "PRAGMA page_size", "SELECT count(*) FROM t"))]
node = connect("file:n1/app.db?vfs=dqlite")
filled(1024, 3000).backup(node)  # nothing is there yet: it takes over the page size
print(*look(node))
filled(1024, 5000).backup(node, pages=3)
print(*look(node), *look(connect("file:n1/app.db?vfs=dqlite")))
try: filled(4096, 10).backup(node)
except sqlite3.OperationalError as error: print(error.sqlite_errorname)
print(*look(node))
other = connect("file:n1/app.db?vfs=dqlite")
other.execute("BEGIN IMMEDIATE")
other.execute("INSERT INTO t VALUES('wins')")
threading.Timer(0.3, other.execute, ("COMMIT",)).start()
filled(1024, 7000).backup(node)  # waits for its turn
print(*look(node))
copy = sqlite3.connect("copy.db")
node.backup(copy, pages=5)
print(*look(copy))
""")
        self.assertEqual(["ok 1024 3000", "ok 1024 5000 ok 1024 5000", "SQLITE_READONLY", "ok 1024 5000", "ok 1024 7000",
                          "ok 1024 7000"], said.splitlines())

    def test_what_is_restored_through_the_backup_api_reaches_the_others(self):
        ports = {name: free_port() for name in ("n1", "n2")}
        for name in ports:
            (self.directory / name).mkdir()
        source = sqlite3.connect(self.directory / "source.db")
        source.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, pad)")
        source.executemany("INSERT INTO account(amount, pad) VALUES(0, randomblob(?))", [(1000,)] * 200)
        source.commit()
        source.close()
        leader = self.start("""
node = connect(sys.argv[1])
node.execute("CREATE TABLE t(x)")
print("up", flush=True)
sys.stdin.readline()
sqlite3.connect("source.db").backup(node)
print("restored", *node.execute("SELECT dqlite_checkpoint() ->> 'index' > 0").fetchone(), flush=True)
sys.stdin.readline()
""", f"file:n1/app.db?vfs=dqlite&listen=127.0.0.1:{ports['n1']}")
        self.expect(leader, "up")
        follower = self.start(READER, f"file:n2/app.db?vfs=dqlite&read=linearizable&listen=127.0.0.1:{ports['n2']}",
                              f"127.0.0.1:{ports['n1']}")
        self.expect(follower, "up")
        leader.stdin.write("go\n")
        leader.stdin.flush()
        self.expect(leader, "restored 1")
        # Its connection asked for linearizable reads, so that the backup holds what was committed before it.
        self.back_up(follower, "copy.db")
        self.check("copy.db")
