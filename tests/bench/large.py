"""One transaction of many megabytes on three nodes: how long it takes, and the largest resident memory of each node on the way.

Real processes on the loopback, with default settings, and rows that do not compress.
"""

import argparse
import pathlib
import time

from run import scratch, start_cluster, wait_until

ROW_BYTES = 100_000
NAMES = ["n1", "n2", "n3"]


def status_field(node, field):
    """In MiB."""
    for line in pathlib.Path(f"/proc/{node.pid()}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field} in /proc/{node.pid()}/status")


def forget_peak(node):
    pathlib.Path(f"/proc/{node.pid()}/clear_refs").write_text("5")


def in_files(node):
    return node.ask("sql SELECT value FROM dqlite_status WHERE name = 'wal_frames'") == "0"


def load(title, nodes, statement, pages):
    before = [status_field(node, "VmRSS") for node in nodes]
    for node in nodes:
        forget_peak(node)
    began = time.monotonic()
    nodes[0].ask("sql BEGIN IMMEDIATE")
    nodes[0].ask("sql " + statement)
    written = time.monotonic()
    nodes[0].ask("sql COMMIT")
    committed = time.monotonic()
    wait_until(lambda: all(in_files(node) for node in nodes), "the checkpoints", 600)
    done = time.monotonic()
    print(f"{title}: written in {written - began:.1f} s, COMMIT {committed - written:.1f} s, "
          f"in the files of all nodes {done - committed:.1f} s later", flush=True)
    for name, node, rss in zip(NAMES, nodes, before):
        peak = status_field(node, "VmHWM")
        print(f"  {name}: {rss:.0f} MiB before, {peak:.0f} MiB at most"
              f" ({(peak - rss) * 2**20 / pages:.0f} bytes a page)", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mb", type=int, default=600)
    options.add_argument("--directory", help="where the databases go: the disk that is measured (default: build/)")
    given = options.parse_args()
    with scratch("large-", given.directory) as root:
        nodes = start_cluster(root, NAMES)
        rows = given.mb * 2**20 // ROW_BYTES
        pages = given.mb * 2**20 // 4096
        insert = (f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
                  f" INSERT INTO t(body) SELECT randomblob({ROW_BYTES}) FROM n")
        load(f"a bulk load of {given.mb} MB", nodes, insert, pages)
        load("an update of all of it", nodes, f"UPDATE t SET body = randomblob({ROW_BYTES})", pages)


if __name__ == "__main__":
    main()
