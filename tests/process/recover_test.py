"""What is left of a cluster goes on alone, when its operator says so: with every row that it holds."""

import shutil

from processes import ScratchTest

from cluster import Cluster

ROWS = 200


class RecoverTest(ScratchTest):
    def setUp(self):
        super().setUp()
        self.cluster = Cluster(self.directory)
        self.addCleanup(self.cluster.end)

    def begin_three(self):
        cluster = self.cluster
        cluster.open("n1", f"listen={cluster.address('n1')}&timeout=2000")
        cluster.run("n1", "CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);")
        for name in ("n2", "n3"):
            cluster.open(name, f"listen={cluster.address(name)}&join={cluster.address('n1')}&timeout=2000")
        cluster.wait_answer("n1", "SELECT count(*) FROM dqlite_cluster WHERE role = 'voter';", ["3"])

    def status(self, node, name):
        return self.cluster.run(node, f"SELECT value FROM dqlite_status WHERE name = '{name}';")

    def test_the_survivor_of_three_goes_on_with_every_acknowledged_row(self):
        cluster = self.cluster
        self.begin_three()
        for row in range(ROWS):
            self.assertEqual([], cluster.run("n1", f"INSERT INTO t VALUES({row}, 'word {row}');"))
        # It has them, whether or not it knows that they are committed.
        cluster.wait_answer("n3", "SELECT value FROM dqlite_status WHERE name = 'last_index';",
                            self.status("n1", "last_index"))
        cluster.kill("n1")
        cluster.kill("n2")
        before = self.status("n3", "cluster_id")
        report = "\n".join(cluster.run("n3", "SELECT dqlite_recover('force');"))
        self.assertIn("is a cluster of one now", report)
        self.assertNotEqual(before, self.status("n3", "cluster_id"))
        self.assertEqual([str(ROWS)], cluster.run("n3", "SELECT count(*) FROM t;"))
        self.assertEqual([], cluster.run("n3", "INSERT INTO t VALUES(1000, 'alone');"))
        # A new node joins; an old one is refused, and comes when its directory is empty.
        cluster.open("n4", f"listen={cluster.address('n4')}&join={cluster.address('n3')}")
        cluster.wait_answer("n4", "SELECT count(*) FROM t WHERE id = 1000;", ["1"])
        cluster.reopen("n2")
        cluster.wait_answer("n2", "SELECT count(*) FROM dqlite_cluster WHERE problem LIKE "
                            "'%was made a new cluster of its own%empty its directory%';", ["1"])
        cluster.quit("n2")
        shutil.rmtree(self.directory / "n2")
        cluster.open("n2", f"listen={cluster.address('n2')}&join={cluster.address('n3')}")
        content = cluster.run("n3", "SELECT count(*), sum(id), max(word) FROM t;")
        for name in ("n2", "n4"):
            cluster.wait_answer(name, "SELECT count(*), sum(id), max(word) FROM t;", content)
        # Three again: one of them may die.
        cluster.wait_answer("n3", "SELECT count(*) FROM dqlite_cluster WHERE role = 'voter';", ["3"])
        cluster.kill("n3")
        leader = cluster.wait_leader(["n2", "n4"])
        self.assertEqual([], cluster.run(leader, "INSERT INTO t VALUES(3000, 'without n3');"))

    def test_a_survivor_killed_right_after_the_decision_is_the_new_cluster(self):
        cluster = self.cluster
        self.begin_three()
        cluster.run("n1", "INSERT INTO t VALUES(1, 'one');")
        cluster.wait_answer("n3", "SELECT count(*) FROM t;", ["1"])
        cluster.kill("n1")
        cluster.kill("n2")
        cluster.run("n3", "SELECT dqlite_recover('force');")
        identity = self.status("n3", "cluster_id")
        cluster.kill("n3")
        cluster.reopen("n3")
        cluster.wait_leader(["n3"])
        self.assertEqual(identity, self.status("n3", "cluster_id"))
        self.assertEqual([], cluster.run("n3", "INSERT INTO t VALUES(2, 'two');"))

    def test_a_damaged_node_that_is_alone_goes_on_in_front_of_the_damage(self):
        cluster = self.cluster
        cluster.open("n1", f"listen={cluster.address('n1')}")
        cluster.run("n1", "CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);")
        for row in range(ROWS):
            cluster.run("n1", f"INSERT INTO t VALUES({row}, 'word {row}');")
        cluster.kill("n1")
        segment = sorted((self.directory / "n1" / "dqlite-node").glob("log-*"))[-1]
        content = bytearray(segment.read_bytes())
        at = len(content.rstrip(b"\0")) // 2
        while content[at] == 0:
            at += 1
        content[at] ^= 0xff
        segment.write_bytes(content)
        cluster.reopen("n1")
        self.assertEqual(["failed"], self.status("n1", "state"))
        left = cluster.run("n1", "SELECT count(*) FROM t;")
        report = "\n".join(cluster.run("n1", "SELECT dqlite_recover('force');"))
        self.assertIn("are in doubt", report)
        self.assertIn("takes effect at the next start", report)
        cluster.quit("n1")
        cluster.reopen("n1")
        cluster.wait_leader(["n1"])
        self.assertEqual(left, cluster.run("n1", "SELECT count(*) FROM t;"))
        self.assertEqual([], cluster.run("n1", "INSERT INTO t VALUES(1000, 'after');"))
        self.assertEqual(["ok"], cluster.run("n1", "PRAGMA integrity_check;"))
        cluster.open("n2", f"listen={cluster.address('n2')}&join={cluster.address('n1')}")
        content = cluster.run("n1", "SELECT count(*), sum(id), max(word) FROM t;")
        cluster.wait_answer("n2", "SELECT count(*), sum(id), max(word) FROM t;", content)
        cluster.kill("n1")
        cluster.reopen("n1")
        cluster.wait_answer("n1", "SELECT count(*), sum(id), max(word) FROM t;", content)
