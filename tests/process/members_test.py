"""Members that come, go and hand over while others write: nothing that was acknowledged is lost."""

import threading
import time

from processes import ScratchTest, Worker, free_port, wait_until

NAMES = ("n1", "n2", "n3")


class Members(ScratchTest):
    """Workers that write, and a control connection on a node of its own, from which the members are changed."""

    roles = "voters=4"  # of every node: the leader's counts

    def setUp(self):
        super().setUp()
        self.ports = {name: free_port() for name in (*NAMES, "control")}
        self.workers = {}
        self.all_workers = []
        self.addCleanup(lambda: [worker.kill() for worker in self.all_workers if worker.is_alive()])
        (self.directory / "control").mkdir()
        self.control = self.start("""
node = connect(sys.argv[1])
node.execute("ATTACH ? AS second", (sys.argv[1].replace("app.db", "second.db"),))
node.execute("CREATE TABLE main.t(row TEXT, body TEXT)")
node.execute("CREATE TABLE second.t(row TEXT)")
print("up", flush=True)
for line in sys.stdin:
    try:
        print("answer", *node.execute(line).fetchone(), flush=True)
    except sqlite3.Error as error:
        print("refused", error.sqlite_errorcode, error, flush=True)
""", f"file:control/app.db?vfs=dqlite&timeout=20000&{self.roles}&listen={self.address('control')}")
        self.assertEqual("up\n", self.control.stdout.readline())

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def ask(self, sql):
        self.control.stdin.write(sql + "\n")
        self.control.stdin.flush()
        return self.control.stdout.readline().rstrip("\n")

    def begin(self, name, parameters=""):
        worker = Worker(self.directory, name, self.ports[name],
                        f"&join={self.address('control')}&{self.roles}{parameters}")
        self.workers[name] = worker
        self.all_workers.append(worker)
        worker.wait_for("up")
        worker.tell("go")

    def wait_voters(self, count):
        wait_until(lambda: self.ask("SELECT count(*) FROM dqlite_cluster WHERE role = 'voter'") == f"answer {count}",
                   f"{count} voters")

    def wait_member(self, name, role):
        wait_until(lambda: self.ask(f"SELECT role FROM dqlite_cluster WHERE address = '{self.address(name)}'")
                   == f"answer {role}", f"{name} as a {role}")

    def begin_all(self):
        for name in NAMES:
            self.begin(name)
        self.wait_voters(4)

    def acknowledged(self):
        return sum(len(worker.acknowledged) for worker in self.all_workers)

    def wait_for_progress(self):
        before = self.acknowledged()
        wait_until(lambda: self.acknowledged() >= before + 10, "ten more acknowledged rows")

    def transfer(self, name):
        self.assertEqual(f"answer {self.address(name)}", self.ask(f"SELECT dqlite_transfer('{self.address(name)}')"))

    def check(self):
        """Every acknowledged row is there once on every node that writes, and none that was refused."""
        reports = {}

        def all_equal():
            reports.update({name: worker.report() for name, worker in self.workers.items()})
            return len({report["digest"] for report in reports.values()}) == 1
        wait_until(all_equal, "equal content on all nodes")
        rows = next(iter(reports.values()))["rows"]
        acknowledged = set().union(*(worker.acknowledged for worker in self.all_workers))
        refused = set().union(*(worker.refused for worker in self.all_workers)) - acknowledged
        self.assertEqual(len(rows), len(set(rows)), "rows doubled")
        self.assertEqual(set(), acknowledged - set(rows), "acknowledged rows lost")
        self.assertEqual(set(), refused & set(rows), "rows that were said to be without effect")
        for name, report in reports.items():
            self.assertEqual([], report["problems"], name)


class MembersTest(Members):
    def test_leadership_goes_round_while_all_write(self):
        self.begin_all()
        for name in ("n1", "n2", "n3", "n1"):
            self.transfer(name)
            self.wait_for_progress()
        self.check()

    def test_a_dead_member_is_removed_and_replaced_at_its_address(self):
        self.begin_all()
        self.transfer("n1")
        self.wait_for_progress()
        self.workers["n2"].kill()
        self.assertEqual("answer 3", self.ask(f"SELECT dqlite_remove('{self.address('n2')}')"))
        (self.directory / "n2").rename(self.directory / "lost")
        self.wait_for_progress()
        self.begin("n2")
        self.wait_voters(4)
        self.transfer("n2")
        self.wait_for_progress()
        self.check()

    def test_the_leader_is_removed_while_it_writes(self):
        self.begin_all()
        self.transfer("n1")
        self.wait_for_progress()
        self.assertEqual("answer 3", self.ask(f"SELECT dqlite_remove('{self.address('n1')}')"))
        self.transfer("n2")
        self.wait_for_progress()
        self.workers.pop("n1").kill()
        self.check()

    def test_writes_during_a_transfer_end_with_documented_codes(self):
        self.begin_all()
        self.workers.pop("n1").kill()
        codes = set()
        writer = self.start("""
node = connect(sys.argv[1])
print("up", flush=True)
while True:
    try:
        node.execute("INSERT INTO t VALUES('x', 'y')")
    except sqlite3.Error as error:
        print(error.sqlite_errorcode, flush=True)
        time.sleep(0.001)
""", f"file:n1/app.db?vfs=dqlite&{self.roles}&listen={self.address('n1')}")
        self.assertEqual("up\n", writer.stdout.readline())

        def read():
            for line in writer.stdout:
                codes.add(int(line))
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        for name in ("n1", "n2", "n1", "n3"):
            self.transfer(name)
            time.sleep(0.1)  # some writes on either
        writer.kill()
        reader.join()
        # NOT_LEADER, NO_QUORUM, LEADERSHIP_LOST, NOT_COMMITTED
        self.assertEqual(set(), codes - {10248, 10245, 10506, 10762})
        self.assertIn(10248, codes)


class RolesTest(Members):
    roles = "grace=1000"

    def test_a_standby_takes_the_place_of_a_dead_voter_that_comes_back_as_a_standby(self):
        for name in NAMES[:2]:
            self.begin(name)
        self.wait_voters(3)
        self.begin("n3", "&failure_domain=far&weight=7")
        self.wait_member("n3", "standby")
        self.assertEqual("answer far 7", self.ask(
            f"SELECT failure_domain, weight FROM dqlite_cluster WHERE address = '{self.address('n3')}'"))
        self.transfer("n1")
        self.wait_for_progress()
        self.workers["n2"].kill()
        self.wait_member("n3", "voter")
        self.wait_member("n2", "standby")
        self.wait_for_progress()
        self.begin("n2")
        self.wait_for_progress()
        self.check()
        self.wait_member("n2", "standby")
        self.wait_voters(3)
