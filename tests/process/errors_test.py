"""The error codes of the README's table, as an application gets them, and waiting as in SQLite."""

from processes import ScratchTest, free_port

NOT_LEADER = 8 | 40 << 8
NO_QUORUM = 5 | 40 << 8
LEADERSHIP_LOST = 10 | 41 << 8


class ErrorsTest(ScratchTest):
    def setUp(self):
        super().setUp()
        for name in ("n1", "n2"):
            (self.directory / name).mkdir()

    def second_voter(self, port, join):
        process = self.start("""
node = connect(sys.argv[1])
print(node.execute("SELECT dqlite_role(id, 'voter') FROM dqlite_cluster WHERE is_self").fetchone()[0], flush=True)
for line in sys.stdin:
    code, sentence = refusal(node, line)
    print(code, sentence, flush=True)
""", f"file:n2/app.db?vfs=dqlite&listen=127.0.0.1:{port}&join=127.0.0.1:{join}")
        self.assertEqual("voter\n", process.stdout.readline())
        return process

    def test_the_codes_of_a_follower_and_of_a_leader_without_a_majority(self):
        ports = [free_port(), free_port()]
        first = self.start("""
node = connect(sys.argv[1])
node.execute("CREATE TABLE t(x)")
print("up", flush=True)
sys.stdin.readline()
node.execute("PRAGMA busy_timeout = 100")
print(*refusal(node, "INSERT INTO t VALUES('unknown')"), flush=True)
while node.execute("SELECT count(*) FROM dqlite_cluster WHERE is_leader").fetchone()[0]: time.sleep(0.01)
print(*refusal(node, "INSERT INTO t VALUES('refused')"), flush=True)
print(node.execute("SELECT dqlite_last_error()").fetchone()[0], flush=True)
print(node.execute("SELECT count(*) FROM t").fetchone(), flush=True)
""", f"file:n1/app.db?vfs=dqlite&listen=127.0.0.1:{ports[0]}&timeout=300")
        self.assertEqual("up\n", first.stdout.readline())
        second = self.second_voter(ports[1], ports[0])
        for statement in ("INSERT INTO t VALUES('no')\n", "BEGIN IMMEDIATE\n", "DROP TABLE t\n"):
            second.stdin.write(statement)
            second.stdin.flush()
            self.assertEqual(f"{NOT_LEADER} attempt to write a readonly database\n", second.stdout.readline())
        second.kill()
        second.wait()
        first.stdin.write("now\n")
        first.stdin.flush()
        code, _, _ = first.stdout.readline().partition(" ")
        self.assertEqual(LEADERSHIP_LOST, int(code))
        code, _, _ = first.stdout.readline().partition(" ")
        self.assertEqual(NO_QUORUM, int(code))
        self.assertGreater(len(first.stdout.readline()), 20)
        self.assertEqual("(0,)\n", first.stdout.readline())

    def test_a_second_writer_waits_as_long_as_its_busy_timeout_says(self):
        said = self.program("""
uri = "file:n1/app.db?vfs=dqlite"
one, two = connect(uri), connect(uri)
one.execute("CREATE TABLE t(x)")
print(two.execute("PRAGMA busy_timeout").fetchone()[0])
two.execute("PRAGMA busy_timeout = 0")
one.execute("BEGIN IMMEDIATE")
print(refusal(two, "INSERT INTO t VALUES(1)")[0])
two.execute("PRAGMA busy_timeout = 30000")
threading.Timer(0.3, lambda: one.execute("COMMIT")).start()
two.execute("INSERT INTO t VALUES(2)")
print(two.execute("SELECT x FROM t").fetchall())
""")
        self.assertEqual("5000\n5\n[(2,)]\n", said)

    def test_deferred_transactions_that_read_and_then_write_do_not_starve(self):
        said = self.program("""
uri = "file:n1/app.db?vfs=dqlite"
connect(uri).execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)").execute("INSERT INTO t VALUES(1, 0)")
done = threading.Event()
def background():
    node = connect(uri)
    while not done.is_set(): node.execute("INSERT INTO t(n) VALUES(1)")
threads = [threading.Thread(target=background) for _ in range(3)]
for thread in threads: thread.start()
node, count, tries = connect(uri), 0, 0
while count < 50:
    tries += 1
    try:
        node.execute("BEGIN")
        before = node.execute("SELECT n FROM t WHERE id = 1").fetchone()[0]
        node.execute("UPDATE t SET n = ? WHERE id = 1", (before + 1,))
        node.execute("COMMIT")
        count += 1
    except sqlite3.OperationalError as error:
        if node.in_transaction: node.execute("ROLLBACK")
        if error.sqlite_errorcode & 255 != 5: raise
done.set()
for thread in threads: thread.join()
print(node.execute("SELECT n FROM t WHERE id = 1").fetchone()[0], tries <= 500)
""")
        self.assertEqual("50 True\n", said)

    def test_threads_of_one_process_increment_without_a_lost_update(self):
        said = self.program("""
uri = "file:n1/app.db?vfs=dqlite"
connect(uri).execute("CREATE TABLE t(n INT)").execute("INSERT INTO t VALUES(0)")
def add():
    node = connect(uri)
    for _ in range(100): node.execute("UPDATE t SET n = n + 1")
threads = [threading.Thread(target=add) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(connect(uri).execute("SELECT n FROM t").fetchone()[0])
""")
        self.assertEqual("600\n", said)

    def test_two_processes_cannot_share_a_directory_and_the_second_learns_the_firsts_pid(self):
        first = self.start("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
print("up", flush=True)
sys.stdin.readline()
""")
        self.assertEqual("up\n", first.stdout.readline())
        said = self.program("""
try:
    connect("file:n1/app.db?vfs=dqlite").execute("SELECT * FROM t")
except sqlite3.OperationalError:
    print(connect(":memory:").execute("SELECT dqlite_last_error()").fetchone()[0])
""")
        self.assertIn(str(first.pid), said)


class StockBesideTest(ScratchTest):
    """Stock connections in the same process as a node."""

    def test_a_stock_connection_that_closes_takes_no_lock_away(self):
        (self.directory / "n1").mkdir()
        node = self.start("""
node = connect("file:n1/app.db?vfs=dqlite")
node.execute("CREATE TABLE t(x)")
node.execute("SELECT dqlite_checkpoint()").fetchall()
for _ in range(3):
    stock = sqlite3.connect("n1/app.db")
    stock.execute("SELECT count(*) FROM t").fetchall()
    stock.close()
print("closed", flush=True)
sys.stdin.readline()
node.execute("INSERT INTO t VALUES('by the node')")
""")
        self.assertEqual("closed\n", node.stdout.readline())
        self.assertIn("database is locked", self.stock("n1/app.db", "INSERT INTO t VALUES('by stock')")[-1])
        node.stdin.write("end\n")
        node.stdin.flush()
        self.assertEqual(0, node.wait(20))
        self.assertEqual(["by the node"], self.stock("n1/app.db", "SELECT * FROM t"))

    def test_other_databases_of_the_process_are_left_as_they_are(self):
        (self.directory / "n1").mkdir()
        said = self.program("""
plain = sqlite3.connect("plain.db", timeout=0)
node = connect("file:n1/app.db?vfs=dqlite")
later = sqlite3.connect("later.db", timeout=0)
for database in (plain, later):
    database.execute("CREATE TABLE t(x)")
    print(database.execute("PRAGMA journal_mode").fetchone(), database.execute("PRAGMA busy_timeout").fetchone(),
          database.execute("PRAGMA wal_autocheckpoint").fetchone())
print(later.execute("SELECT count(*) FROM pragma_function_list WHERE name = 'dqlite_version'").fetchone())
""")
        self.assertEqual("('delete',) (0,) (1000,)\n" * 2 + "(1,)\n", said)
