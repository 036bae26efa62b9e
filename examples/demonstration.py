"""The steps of examples/cluster.sh, each a line with its time. Three sqlite3 shells are the three nodes."""

import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lib"))
from cluster import EXTENSION, Cluster, ShellError  # noqa: E402
from sqlite_shell import exit_on_signals  # noqa: E402

UNICODE_DATA = pathlib.Path("/usr/share/unicode/UnicodeData.txt")
NODES = ("n1", "n2", "n3")
COLUMNS = """code TEXT PRIMARY KEY, name TEXT, category TEXT, combining INT, bidi TEXT, decomposition TEXT, decimal TEXT,
 digit TEXT, numeric TEXT, mirrored TEXT, old_name TEXT, comment TEXT, upper TEXT, lower TEXT, title TEXT""".replace("\n", "")


class StepFailed(Exception):
    """Something was not as it must be."""


def expect(found, expected, what):
    if found != expected:
        raise StepFailed(f"{what}: expected {expected}, found {found}")


class Demonstration:
    def __init__(self, root):
        self.cluster = Cluster(root, timeout=60.0)
        self.root = root
        self.lines = UNICODE_DATA.read_text().splitlines()
        self.leader = "n1"

    def run(self):
        for title, work in (
                (f"start three nodes, n1 on {self.cluster.address('n1')}; n2 and n3 join it", self.start),
                (f"import {len(self.lines):,} lines of UnicodeData.txt through the leader", self.import_lines),
                ("build an index and a full-text index on them", self.build_indexes),
                ("the same content on all three nodes", self.compare),
                ("a write on another node is refused", self.write_elsewhere),
                ("kill -9 the leader; another one takes over", self.kill_leader),
                ("write through the new leader", self.write_more),
                ("start the old leader again; it catches up", self.bring_back),
                ("the same content on all three nodes", self.compare)):
            self.step(title, work)

    def finish(self):
        self.step("end all three in order", self.stop)
        self.step("stock sqlite3 opens each file and finds the same rows", self.open_with_stock)

    def step(self, title, work):
        begin = time.monotonic()
        print(f"{title} ... ", end="", flush=True)
        remark = work()
        print(f"{'ok' if remark is None else remark} ({time.monotonic() - begin:.2f} s)", flush=True)

    def start(self):
        for name in NODES:
            expect(self.cluster.open(name, f"listen={self.cluster.address(name)}"), [], f"opening {name}")
            if name == "n1":
                expect(self.cluster.run(name, f"CREATE TABLE character({COLUMNS});"), [], "CREATE TABLE")
            else:
                said = self.cluster.run(name, f"SELECT dqlite_join('{self.cluster.address('n1')}');")
                expect([line for line in said if "rror" in line], [], f"{name} joins n1")
        self.cluster.wait_answer("n1", "SELECT count(*) FROM dqlite_cluster WHERE role = 'voter';", ["3"])

    def import_lines(self):
        said = self.ask(f".separator ;\n.import {UNICODE_DATA} character\n.separator |")
        expect(said, [], ".import")
        expect(self.ask("SELECT count(*) FROM character;"), [str(len(self.lines))], "rows")

    def build_indexes(self):
        for sql in ("CREATE INDEX character_name ON character(name);",
                    "CREATE VIRTUAL TABLE search USING fts5(code UNINDEXED, name, old_name);",
                    "INSERT INTO search SELECT code, name, old_name FROM character;"):
            expect(self.ask(sql), [], sql)
        expect(self.ask("SELECT code FROM search WHERE search MATCH 'snowman' ORDER BY code LIMIT 1;"), ["2603"], "snowman")

    def compare(self):
        """Waits until the followers have what the leader has; then all must agree in every row and pass SQLite's own check."""
        wanted = self.ask(".sha3sum")
        for name in NODES:
            self.cluster.wait_answer(name, ".sha3sum", wanted)
            expect(self.cluster.run(name, "PRAGMA integrity_check;"), ["ok"], f"integrity_check on {name}")
        return wanted[0].split()[0][:16]

    def write_elsewhere(self):
        other = next(name for name in NODES if name != self.leader)
        said = " ".join(self.cluster.run(other, "DELETE FROM character;"))
        if "attempt to write a readonly database" not in said:
            raise StepFailed(f"{other} was not refused; it said: {said}")
        expect(self.cluster.run(other, "SELECT dqlite_leader();"), [self.cluster.address(self.leader)], "the leader's address")

    def kill_leader(self):
        self.killed = self.leader
        self.cluster.kill(self.killed)
        self.leader = self.cluster.wait_leader([name for name in NODES if name != self.killed])
        return f"{self.leader} leads"

    def write_more(self):
        for sql in ("UPDATE character SET comment = 'seen' WHERE category = 'Lu';",
                    "INSERT INTO character(code, name) VALUES('110000', 'BEYOND THE LAST PLANE');",
                    "DELETE FROM character WHERE category = 'Cs';"):
            expect(self.ask(sql), [], sql)
        self.count = self.ask("SELECT count(*), sum(comment = 'seen') FROM character;")

    def bring_back(self):
        expect(self.cluster.reopen(self.killed), [], f"opening {self.killed}")
        self.cluster.wait_answer(self.killed, "SELECT count(*), sum(comment = 'seen') FROM character;", self.count)

    def stop(self):
        for name in NODES:
            expect(self.cluster.quit(name), [], f"quitting {name}")

    def open_with_stock(self):
        for name in NODES:
            said = subprocess.run(["sqlite3", self.root / name / "app.db", "PRAGMA integrity_check",
                                   "SELECT count(*), sum(comment = 'seen') FROM character"], capture_output=True, text=True)
            expect((said.stdout + said.stderr).splitlines(), ["ok", *self.count], f"{name}/app.db")

    def ask(self, text):
        return self.cluster.run(self.leader, text)


def keep(demonstration):
    """Ends the nodes and starts them again in tmux, where a person can attach to them."""
    cluster, root = demonstration.cluster, demonstration.root
    demonstration.stop()
    session = f"dqlite-{os.getpid()}"
    for name in NODES:
        command = ["sqlite3", "-cmd", f".load '{EXTENSION.with_suffix('')}'", "-cmd",
                   f".open 'file:{name}/app.db?vfs=dqlite&listen={cluster.address(name)}'"]
        begin = ["new-session", "-d", "-s", session] if name == "n1" else ["new-window", "-t", session]
        subprocess.run(["tmux", *begin, "-n", name, "-c", str(root), *command], check=True)
    print(f"\nThe cluster is up, one tmux window for each node.\n"
          f"  attach:   tmux attach -t {session}        (Ctrl-b n: next node, Ctrl-b d: leave them running)\n"
          f"  try:      SELECT * FROM dqlite_cluster;\n"
          f"  end:      tmux kill-session -t {session}; rm -r {root}")


def main():
    keeping = sys.argv[1:] == ["--keep"]
    exit_on_signals()
    root = pathlib.Path(tempfile.mkdtemp(prefix="dqlite-cluster-"))
    if not keeping:
        atexit.register(shutil.rmtree, root, ignore_errors=True)
    demonstration = Demonstration(root)
    begin = time.monotonic()
    try:
        demonstration.run()
        if keeping:
            keep(demonstration)
        else:
            demonstration.finish()
            print(f"all of it worked, in {time.monotonic() - begin:.1f} s")
    except (StepFailed, ShellError, TimeoutError) as problem:
        print(f"FAILED\n{problem}", flush=True)
        return 1
    finally:
        demonstration.cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
