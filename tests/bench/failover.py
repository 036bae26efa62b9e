"""How long a cluster of three is without a leader that takes writes: after kill -9 of the leader, and after its orderly end.

Real processes on the loopback, with default settings. Both survivors try to write every 5 ms; what counts is the first COMMIT that
returned OK. Before each round all three are caught up.
"""

import argparse
import math
import signal
import statistics
import time

from run import Process, free_port, scratch, start_cluster, start_node, wait_until  # noqa: F401

LEADS = "sql SELECT count(*) FROM dqlite_cluster WHERE is_self AND is_leader"
LAST = "sql SELECT max(id) FROM t"
TERM = "sql SELECT value FROM dqlite_status WHERE name = 'term'"


class Cluster:
    def __init__(self, root):
        self.root = root
        self.names = ["n1", "n2", "n3"]
        self.nodes = dict(zip(self.names, start_cluster(root, self.names)))

    def leader(self):
        return wait_until(lambda: next((name for name in self.nodes if self.nodes[name].ask(LEADS) == "1"), None), "a leader")

    def settle(self):
        """Everybody is up and has everything."""
        for name in self.names:
            if name not in self.nodes:
                self.nodes[name] = start_node(self.root, name)
        self.nodes[self.leader()].ask("insert 10")
        wait_until(lambda: len({node.ask(LAST) for node in self.nodes.values()}) == 1, "all members to catch up")
        # Not the moment behind a heartbeat every time.
        time.sleep(time.monotonic() % 0.2)

    def lose_leader(self, how):
        """`how` ends it. Returns the milliseconds from there to the next COMMIT."""
        lost = self.nodes.pop(self.leader())
        began = time.monotonic()
        how(lost)
        for node in self.nodes.values():
            node.tell("write")
        while not (answered := [node for node in self.nodes.values() if node.has_answer()]):
            pass
        done = 0.0
        for node in self.nodes.values():
            if node not in answered:
                node.tell("stop")
            at = float(node.read())
            if at and (not done or at < done):
                done = at
            if node not in answered:
                node.read()
        Process.forget(lost)
        return done / 1000 - began * 1000


def rank(values, part):
    """Nearest rank: of 50 values the 99th percentile is the largest."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def show(title, values):
    print(f"  {title:30} p50 {statistics.median(values):6.0f} ms   p99 {rank(values, 0.99):6.0f} ms"
          f"   ({min(values):.0f} to {max(values):.0f})", flush=True)


def measure_pauses(cluster, rounds, pause_ms):
    """Every node in turn is stopped for a while. Returns how many of these led to a new term."""
    changes = 0
    for number in range(rounds):
        cluster.settle()
        leader = cluster.leader()
        before = cluster.nodes[leader].ask(TERM)
        name = cluster.names[number % 3]
        cluster.nodes[name].signal(signal.SIGSTOP)
        time.sleep(pause_ms / 1000)
        cluster.nodes[name].signal(signal.SIGCONT)
        time.sleep(1)  # an election that the pause has set going is decided by then
        changes += cluster.nodes[cluster.leader()].ask(TERM) != before
    return changes


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=50)
    options.add_argument("--pauses", type=int, default=0, help="also stop a node this often, and count elections")
    options.add_argument("--pause-ms", type=int, default=100)
    options.add_argument("--directory", help="where the databases go: the disk that is measured (default: build/)")
    given = options.parse_args()
    with scratch("failover-", given.directory) as root:
        cluster = Cluster(root)
        print(f"Three nodes, {given.rounds} rounds: from the end of the leader to the next COMMIT.")
        for title, how in (("kill -9", Process.strike), ("an orderly end", Process.close)):
            times = []
            for _ in range(given.rounds):
                cluster.settle()
                times.append(cluster.lose_leader(how))
            show(title, times)
        if given.pauses:
            changes = measure_pauses(cluster, given.pauses, given.pause_ms)
            print(f"  {given.pauses} pauses of {given.pause_ms} ms: {changes} led to an election")


if __name__ == "__main__":
    main()
