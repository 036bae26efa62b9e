"""All copies are read again while others write."""

import signal

from processes import ScratchTest, free_port

WRITER = """
node = connect(sys.argv[1])
node.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
node.executemany("INSERT INTO t(x) VALUES(randomblob(?))", [(1500,)] * 300)
print("up", flush=True)
sys.stdin.readline()
for i in range(10**9):
    node.execute("UPDATE t SET x = randomblob(1500) WHERE id = ?", (i * 37 % 300 + 1,))
    if i % 50 == 0: node.execute("SELECT dqlite_checkpoint()").fetchall()
"""


class VerifyTest(ScratchTest):
    def begin(self):
        self.uris = {}
        for name in ("n1", "n2"):
            (self.directory / name).mkdir()
            self.uris[name] = f"file:{name}/app.db?vfs=dqlite&timeout=30000&listen=127.0.0.1:{free_port()}"
        self.writer = self.start(WRITER, self.uris["n1"])
        self.assertEqual("up\n", self.writer.stdout.readline())

    def other(self, text):
        return self.program("""
node = connect(sys.argv[1])
node.execute("SELECT dqlite_join(?)", (sys.argv[2],)).fetchall()
""" + text, self.uris["n2"], self.uris["n1"].rpartition("=")[2], self.writer.pid, timeout=120)

    def test_every_reading_while_a_member_writes_agrees_and_the_state_goes_on(self):
        self.begin()
        self.writer.stdin.write("go\n")
        self.writer.stdin.flush()
        said = self.other("""
indexes = []
for i in range(10):
    rows = node.execute("SELECT result, problem, log_index FROM dqlite_verify").fetchall()
    if [row[:2] for row in rows] != [("ok", None)] * 2: print(rows)
    indexes.append(rows[0][2])
print(indexes == sorted(indexes), indexes[0] < indexes[-1])
""")
        self.assertEqual("True True\n", said)
        self.assertIsNone(self.writer.poll(), "the writer goes on")

    def test_it_can_be_interrupted_while_a_member_is_silent(self):
        self.begin()
        self.addCleanup(lambda: self.writer.send_signal(signal.SIGCONT))
        said = self.other("""
os.kill(int(sys.argv[3]), 19)  # SIGSTOP
threading.Timer(0.3, node.interrupt).start()
begin = time.monotonic()
try: node.execute("SELECT * FROM dqlite_verify").fetchall()
except sqlite3.OperationalError as error: print(error.sqlite_errorname)
print(time.monotonic() - begin < 25)
os.kill(int(sys.argv[3]), 18)
""")
        self.assertEqual("SQLITE_INTERRUPT\nTrue\n", said)
