"""A process that is a node and writes: the tests of real processes start several and kill them.

    worker.py EXTENSION URI NAME

Each of its two threads writes rows with ids of its own, one transaction each over two databases, for as long as this
node leads. What it says on standard output, a line each, is what it knows:

    try ID    a transaction with this id was begun and may take effect from now on
    ok ID     COMMIT returned without an error
    no ID     certainly without effect; the same id will be tried again

An id whose outcome is unknown is settled by the documented recipe (on the leader: BEGIN IMMEDIATE, look, write if it is absent,
COMMIT) before the thread goes on. Commands on standard input: `report` stops the writing and answers `report JSON`, `go` goes
on, `quit` ends the process in order.
"""

import hashlib
import json
import os
import sqlite3
import sys
import threading
import time

LEADERSHIP_LOST = 10 | 41 << 8

say_lock = threading.Lock()
running = threading.Event()
idle = [threading.Event(), threading.Event()]


def say(text):
    with say_lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def connect(extension, uri):
    # Loaded through a connection of its own: the first open of the node needs the VFS to be there already.
    loader = sqlite3.connect(":memory:")
    loader.enable_load_extension(True)
    loader.load_extension(extension)
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("ATTACH ? AS second", (uri.replace("app.db", "second.db"),))
    return connection


class Writer(threading.Thread):
    def __init__(self, extension, uri, name, number):
        super().__init__(daemon=True)
        self.extension, self.uri, self.number = extension, uri, number
        self.prefix = f"{name}-{os.getpid()}-{number}"  # not used in an earlier life
        self.count = 0

    def run(self):
        connection = connect(self.extension, self.uri)
        unknown = None
        while True:
            if not running.is_set():
                idle[self.number].set()
                running.wait()
            idle[self.number].clear()
            row = unknown or f"{self.prefix}-{self.count}"
            if not unknown:
                self.count += 1
            unknown = self.write(connection, row, is_unknown=row == unknown)

    def write(self, connection, row, is_unknown):
        """Tries until the row is in, or its outcome is unknown: then returns it."""
        say(f"try {row}")
        while running.is_set():
            try:
                connection.execute("BEGIN IMMEDIATE")
                # Only then: a row that is said not to be there and is, must show up twice.
                if not is_unknown or not connection.execute("SELECT 1 FROM t WHERE row = ?", (row,)).fetchone():
                    connection.execute("INSERT INTO main.t VALUES(?, randomblob(100))", (row,))
                    connection.execute("INSERT INTO second.t VALUES(?)", (row,))
                connection.execute("COMMIT")
                say(f"ok {row}")
                return None
            except sqlite3.OperationalError as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if error.sqlite_errorcode == LEADERSHIP_LOST:
                    return row
                time.sleep(0.02)  # another node leads, or none: ask again soon
        if is_unknown:
            return row
        say(f"no {row}")
        return None


def report(connection):
    digest = hashlib.sha256()
    rows = []
    connection.execute("BEGIN")
    for row in connection.execute("SELECT row, hex(body) FROM main.t ORDER BY rowid"):
        rows.append(row[0])
        digest.update(repr(row).encode())
    second = [row for row, in connection.execute("SELECT row FROM second.t ORDER BY rowid")]
    connection.execute("COMMIT")
    problems = [line for name in ("main", "second")
                for line, in connection.execute(f"PRAGMA {name}.integrity_check") if line != "ok"]
    say("report " + json.dumps({"rows": rows, "digest": digest.hexdigest(), "problems": problems,
                                "same_in_both": sorted(rows) == sorted(second)}))


def main():
    extension, uri, name = sys.argv[1:]
    connection = connect(extension, uri)
    for number in (0, 1):
        Writer(extension, uri, name, number).start()
    say("up")
    for line in sys.stdin:
        command = line.strip()
        if command == "go":
            running.set()
        elif command == "report":
            running.clear()
            for event in idle:
                event.wait()
            report(connection)
        elif command == "quit":
            return


main()
