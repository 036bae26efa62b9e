"""Three nodes under load, killed at random moments: no acknowledged row is lost, none is doubled."""

import collections
import os
import random
import time

from processes import ScratchTest, Worker, free_port, wait_until

NAMES = ("n1", "n2", "n3")


class CrashTest(ScratchTest):
    LONGEST_S = 3600  # with 200 rounds

    def setUp(self):
        super().setUp()
        self.ports = {name: free_port() for name in NAMES}
        self.workers = {}  # name -> the one that lives
        self.all_workers = []
        self.addCleanup(lambda: [worker.kill() for worker in self.all_workers if worker.is_alive()])

    def begin(self, name):
        join = "" if name == "n1" else f"&join=127.0.0.1:{self.ports['n1']}"
        worker = Worker(self.directory, name, self.ports[name], join)
        self.workers[name] = worker
        self.all_workers.append(worker)
        worker.wait_for("up")
        worker.tell("go")

    def acknowledged(self):
        return sum(len(worker.acknowledged) for worker in self.all_workers)

    def wait_for_progress(self):
        """Until ten more rows are acknowledged: there is a leader and a majority."""
        before = self.acknowledged()
        wait_until(lambda: self.acknowledged() >= before + 10, "ten more acknowledged rows")

    def check(self):
        """The contents of all nodes against what the workers know."""
        reports = {}

        def all_equal():
            reports.update({name: worker.report() for name, worker in self.workers.items()})
            return len({report["digest"] for report in reports.values()}) == 1
        wait_until(all_equal, "equal content on all nodes")
        for name, report in reports.items():
            self.assertEqual([], report["problems"], name)
            self.assertTrue(report["same_in_both"], f"{name}: a transaction is in one of its two databases only")
        rows = collections.Counter(reports["n1"]["rows"])
        tried = set().union(*(worker.tried for worker in self.all_workers))
        acknowledged = set().union(*(worker.acknowledged for worker in self.all_workers))
        refused = set().union(*(worker.refused for worker in self.all_workers)) - acknowledged
        self.assertEqual([], [row for row, count in rows.items() if count > 1], "rows doubled")
        self.assertEqual(set(), acknowledged - set(rows), "acknowledged rows lost")
        self.assertEqual(set(), set(rows) - tried, "rows nobody wrote")
        self.assertEqual(set(), refused & set(rows), "rows that were said to be without effect")
        return len(rows)

    def test_no_acknowledged_row_is_lost_and_none_is_doubled(self):
        seed = int(os.environ.get("DQLITE_SEED", time.time_ns() % 2**32))
        print(f"(DQLITE_SEED={seed}", end="", flush=True)
        dice = random.Random(seed)
        with_table = self.directory / "n1"
        with_table.mkdir()
        self.program("""
node = connect(sys.argv[1])
node.execute("ATTACH ? AS second", (sys.argv[1].replace("app.db", "second.db"),))
node.execute("CREATE TABLE main.t(row TEXT, body TEXT)")
node.execute("CREATE TABLE second.t(row TEXT)")
""", f"file:{with_table}/app.db?vfs=dqlite&listen=127.0.0.1:{self.ports['n1']}")
        for name in NAMES:
            self.begin(name)
        self.wait_for_progress()
        for _ in range(int(os.environ.get("DQLITE_CRASH_ROUNDS", "20"))):
            victims = dice.sample(NAMES, dice.choice((1, 1, 1, 2, 3)))
            time.sleep(dice.uniform(0.0, 0.4))  # the random moment
            for name in victims:
                self.workers[name].kill()
            if len(victims) == 1 and dice.random() < 0.5:
                self.wait_for_progress()  # the two others go on without it
            for name in victims:
                self.begin(name)
            self.wait_for_progress()
        self.check()
        for name in NAMES:
            self.workers[name].tell("go")
        self.wait_for_progress()
        count = self.check()
        print(f", {count} rows) ", end="", flush=True)
        for name in reversed(NAMES):
            self.assertEqual(0, self.workers[name].quit(), self.workers[name].errors())
        for name in NAMES:
            self.assertEqual([str(count), "ok"],
                             self.stock(f"{name}/app.db", "SELECT count(*) FROM t; PRAGMA integrity_check"), name)
