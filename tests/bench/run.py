"""The benchmark: processes of measure.cc side by side, in rounds, so that a slow moment of the machine hits all of them."""

import argparse
import contextlib
import pathlib
import select
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cluster import EXTENSION, REPOSITORY, free_port, wait_until  # noqa: E402
from sqlite_shell import exit_on_signals  # noqa: E402

MEASURE = REPOSITORY / "build" / "tests" / "measure"


class Process:
    """One measure process. `opened_ms`: how long opening and a first read took."""

    living = []

    def __init__(self, uri, stock=False):
        extension = "-" if stock else EXTENSION.with_suffix("")
        self._process = subprocess.Popen([MEASURE, extension, uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.living.append(self)
        self.opened_ms = float(self._line())

    def ask(self, command):
        self.tell(command)
        return self._line()

    def tell(self, command):
        """The answer is read later."""
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def read(self):
        return self._line()

    def has_answer(self):
        """Waits a moment for it."""
        return bool(select.select([self._process.stdout], [], [], 0.001)[0])

    def pid(self):
        return self._process.pid

    def signal(self, number):
        self._process.send_signal(number)

    def close(self):
        """Asks it to end in order, and does not wait."""
        self._process.stdin.close()

    def strike(self):
        """kill -9, and does not wait."""
        self._process.kill()

    def numbers(self, command):
        return [float(word) for word in self.ask(command).split()]

    def end(self):
        """In order."""
        self._process.stdin.close()
        self._process.wait()
        self.living.remove(self)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self.living.remove(self)

    def forget(self):
        """Of one that was told to end: waits until it has."""
        self._process.wait()
        self.living.remove(self)

    def _line(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark has ended: see its message above")
        return line.rstrip("\n")


def start_node(root, name, parameters=""):
    (root / name).mkdir(exist_ok=True)
    return Process(f"file:{root}/{name}/app.db?vfs=dqlite{parameters}")


def start_stock(root):
    process = Process(f"file:{root}/stock.db", stock=True)
    process.ask("sql PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    return process


@contextlib.contextmanager
def scratch(prefix, directory):
    """A new directory, in `directory` or in build/; at the end it and every process are gone.

    Not in /tmp, which may be memory: then a sync costs nothing and the comparison says nothing.
    """
    exit_on_signals()
    root = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=directory or REPOSITORY / "build"))
    try:
        yield root
    finally:
        for process in list(Process.living):
            process.kill()
        shutil.rmtree(root, ignore_errors=True)


def start_cluster(root, names):
    """Leader first."""
    ports = {name: free_port() for name in names}
    nodes = []
    for name in names:
        join = f"&join=127.0.0.1:{ports[names[0]]}" if nodes else ""
        nodes.append(start_node(root, name, f"&listen=127.0.0.1:{ports[name]}{join}"))
        if len(nodes) == 1:
            nodes[0].ask("sql CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
    voters = "sql SELECT count(*) FROM dqlite_cluster WHERE role = 'voter'"
    wait_until(lambda: nodes[0].ask(voters) == str(len(names)), "all members to vote")
    return nodes


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def measure_speed(root, rounds, rows, selects):
    stock = start_stock(root)
    stock.ask("sql CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
    alone, three = start_cluster(root, ["alone"]), start_cluster(root, ["n1", "n2", "n3"])
    subjects = {"stock WAL, FULL": stock, "one node": alone[0], "three nodes": three[0]}
    for process in subjects.values():
        process.ask(f"insert {rows}")  # warm caches, first segments, first checkpoints
    writes = {name: [] for name in subjects}
    reads = {name: [] for name in subjects}
    for number in range(rounds):
        # Each round begins with another one, so that none is always the one after a pause.
        order = list(subjects)[number % 3:] + list(subjects)[:number % 3]
        for name in order:
            writes[name].append(subjects[name].numbers(f"insert {rows}"))
        for name in order:
            reads[name].append(subjects[name].numbers(f"select {selects}")[0])
    print(f"One writer, rows of 100 bytes, one transaction each: {rounds} rounds of {rows}. Median (smallest to largest round).")
    for name in subjects:
        rate, middle, slow = zip(*writes[name])
        print(f"  {name:16} {spread(rate, '{:.0f}'):>24} tx/s   p50 {spread(middle, '{:.0f}'):>22} us"
              f"   p99 {spread(slow, '{:.0f}'):>22} us")
    base = writes["stock WAL, FULL"]
    for name in ("one node", "three nodes"):
        for title, column in (("p50", 1), ("p99", 2)):
            ratios = [own[column] / other[column] for own, other in zip(writes[name], base)]
            print(f"  {name}: {title} is {spread(ratios)} times stock's")
    print(f"Point SELECTs by key, {rounds} rounds of {selects}.")
    for name in subjects:
        print(f"  {name:16} {spread(reads[name], '{:.0f}'):>30} /s")
    for name in ("one node", "three nodes"):
        ratios = [own / other for own, other in zip(reads[name], reads["stock WAL, FULL"])]
        print(f"  {name}: {spread(ratios)} times stock's rate")
    for process in (stock, *alone, *reversed(three)):
        process.end()


def measure_restart(root, rounds, megabytes):
    (root / "big").mkdir()
    builder = Process(f"file:{root}/big/app.db", stock=True)
    builder.ask("sql CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT); BEGIN;"
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                f"{megabytes * 1_000_000 // 1020}) INSERT INTO t SELECT i, hex(randomblob(500)) FROM n; COMMIT")
    builder.end()
    size = (root / "big" / "app.db").stat().st_size
    print(f"A database of {size / 1e6:.0f} MB.")
    node = start_node(root, "big")
    print(f"  first open, which makes it a node's: {node.opened_ms:.0f} ms, then {int(node.ask('memory')) / 1024:.1f} MiB resident")
    node.ask("insert 1")
    for title, finish in (("an orderly end", Process.end), ("kill -9 after 500 commits", Process.kill)):
        times, memory = [], []
        for _ in range(rounds):
            node.ask("insert 500")
            finish(node)
            node = start_node(root, "big")
            times.append(node.opened_ms)
            memory.append(int(node.ask("memory")) / 1024)
        print(f"  restart after {title}: {spread(times, '{:.0f}')} ms, then {spread(memory, '{:.1f}')} MiB resident")
    node.ask("select 20000")
    print(f"  after 20000 point SELECTs: {int(node.ask('memory')) / 1024:.1f} MiB resident")
    node.end()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--rows", type=int, default=2000, help="commits in a round")
    options.add_argument("--selects", type=int, default=100000, help="reads in a round")
    options.add_argument("--megabytes", type=int, default=500)
    options.add_argument("--directory", help="where the databases go: the disk that is measured (default: build/)")
    given = options.parse_args()
    with scratch("bench-", given.directory) as root:
        measure_speed(root, given.rounds, given.rows, given.selects)
        measure_restart(root, 5, given.megabytes)


if __name__ == "__main__":
    main()
