#!/usr/bin/python3
"""A small program on a replicated database, with nothing but Python's own sqlite3 module.

    notes.py DIRECTORY HOST:PORT [--join HOST:PORT] [TEXT]

Run it on three machines (or thrice on one, with three directories and ports), the second and third with
`--join` and the first one's address. Each shows the notes; with TEXT it adds one, if this node leads.
It stays until Enter is pressed, for a node is up only as long as its process.
"""

import argparse
import pathlib
import sqlite3
import sys

EXTENSION = pathlib.Path(__file__).resolve().parents[1] / "build" / "dqlite"
NOT_LEADER = 8 | 40 << 8
OUTCOME_UNKNOWN = 10 | 41 << 8


def connect(directory, address, join):
    """The extension is loaded once, through any connection; then the URI is all there is to it."""
    loader = sqlite3.connect(":memory:")
    loader.enable_load_extension(True)
    loader.load_extension(str(EXTENSION))
    loader.close()
    directory.mkdir(exist_ok=True)
    uri = f"file:{directory}/notes.db?vfs=dqlite&listen={address}"
    return sqlite3.connect(uri + (f"&join={join}" if join else ""), uri=True)


def add(database, text):
    try:
        with database:  # a transaction: committed on a majority when the block ends
            database.execute("CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT, at TEXT)")
            database.execute("INSERT INTO note(text, at) VALUES(?, datetime('now'))", (text,))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == NOT_LEADER:
            leader, = database.execute("SELECT dqlite_leader()").fetchone()
            return f"not added: write on the leader, {leader}"
        reason, = database.execute("SELECT dqlite_last_error()").fetchone()
        if error.sqlite_errorcode == OUTCOME_UNKNOWN:
            return f"may or may not have been added: {reason}"
        return f"not added: {reason}"
    return "added"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("directory", type=pathlib.Path)
    options.add_argument("address")
    options.add_argument("--join")
    options.add_argument("text", nargs="?")
    given = options.parse_args()
    database = connect(given.directory, given.address, given.join)
    if given.text:
        print(add(database, given.text))
    if database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'note'").fetchone():
        for number, text, at in database.execute("SELECT id, text, at FROM note ORDER BY id"):
            print(f"{number:4}  {at}  {text}")
    print("Enter ends this node.", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
