#!/usr/bin/python3
"""Runs the tests of real processes; the last line is 'N passed, N failed'.

    run.py [--rounds N] [NAME...]      NAME: a part of a test's name; --rounds: how often the crash test kills
"""

import argparse
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from sqlite_shell import exit_on_signals  # noqa: E402


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("names", nargs="*")
    given = options.parse_args()
    exit_on_signals()
    os.environ["DQLITE_CRASH_ROUNDS"] = str(given.rounds)
    found = tests_of(unittest.defaultTestLoader.discover(HERE, "*_test.py"))
    wanted = [test for test in found if not given.names or any(name in test.id() for name in given.names)]
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(unittest.TestSuite(wanted))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    return 1 if bad or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
