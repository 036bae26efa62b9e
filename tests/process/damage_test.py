"""A byte of a stopped node's log rots: the node starts, is repaired by the others, and has every row again."""

from processes import ScratchTest, wait_until

from cluster import Cluster

ROWS = 300


class DamageTest(ScratchTest):
    def setUp(self):
        super().setUp()
        self.cluster = Cluster(self.directory)
        self.addCleanup(self.cluster.end)

    def rot(self, name):
        """Changes one byte in the middle of what was written to the node's newest segment."""
        segment = sorted((self.directory / name / "dqlite-node").glob("log-*"))[-1]
        content = bytearray(segment.read_bytes())
        at = len(content.rstrip(b"\0")) // 2
        while content[at] == 0:
            at += 1
        content[at] ^= 0xff
        segment.write_bytes(content)
        return segment

    def test_a_damaged_follower_heals_and_loses_no_row(self):
        cluster = self.cluster
        cluster.open("n1", f"listen={cluster.address('n1')}")
        cluster.run("n1", "CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);")
        for name in ("n2", "n3"):
            cluster.open(name, f"listen={cluster.address(name)}&join={cluster.address('n1')}")
        cluster.wait_answer("n1", "SELECT count(*) FROM dqlite_cluster WHERE role = 'voter';", ["3"])
        for row in range(ROWS):
            cluster.run("n1", f"INSERT INTO t VALUES({row}, 'word {row}');")
        cluster.wait_answer("n3", "SELECT count(*) FROM t;", [str(ROWS)])
        # Without its orderly end, so that the file holds less than the log.
        cluster.kill("n3")
        segment = self.rot("n3")
        self.assertEqual([], cluster.reopen("n3"))
        cluster.wait_answer("n3", "SELECT count(*) FROM dqlite_status WHERE name IN ('warning', 'fault') "
                            "AND value IS NOT NULL;", ["0"])
        cluster.wait_answer("n3", "SELECT count(*) FROM t;", [str(ROWS)])
        self.assertTrue((segment.parent / ("damaged-" + segment.name)).exists())
        leader = cluster.wait_leader(["n1", "n2", "n3"])
        cluster.run(leader, "INSERT INTO t VALUES(1000, 'after the repair');")
        cluster.wait_answer("n3", "SELECT count(*) FROM t;", [str(ROWS + 1)])
        self.assertEqual(["ok"], cluster.run("n3", "PRAGMA integrity_check;"))
        for name in ("n3", "n2", "n1"):
            cluster.quit(name)
        wait_until(lambda: self.stock("n3/app.db", "SELECT count(*) FROM t;") == [str(ROWS + 1)], "every row in the file")

    def test_a_damaged_node_that_is_alone_can_be_read_and_says_what_to_do(self):
        cluster = self.cluster
        cluster.open("n1")
        cluster.run("n1", "CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);")
        for row in range(ROWS):
            cluster.run("n1", f"INSERT INTO t VALUES({row}, 'word {row}');")
        cluster.kill("n1")
        segment = self.rot("n1")
        cluster.reopen("n1")
        self.assertEqual(["failed"], cluster.run("n1", "SELECT value FROM dqlite_status WHERE name = 'state';"))
        fault = cluster.run("n1", "SELECT value FROM dqlite_status WHERE name = 'fault';")[0]
        self.assertIn(str(segment), fault)
        self.assertIn("are in doubt", fault)
        left = int(cluster.run("n1", "SELECT count(*) FROM t;")[0])
        self.assertTrue(0 < left < ROWS, left)
        self.assertIn("disk I/O error", "\n".join(cluster.run("n1", "INSERT INTO t VALUES(1000, 'never');")))
        self.assertIn("the log is damaged", "\n".join(cluster.run("n1", "SELECT dqlite_last_error();")))
        # The way out that the sentence names.
        cluster.run("n1", "VACUUM INTO 'saved.db';")
        self.assertEqual([str(left)], self.stock("saved.db", "SELECT count(*) FROM t;"))
