#!/usr/bin/python3
"""Checks tests/SCENARIOS.md: every scenario has its row, and every test that a row names exists.

A row names a test of CppUTest as `Group.name`, a transcript as `E1_name.txt`, a Python test as `folder/file.py::function` and any
other file by its path, from here or from the root. A row without any of them must say why: "open: ..." or "does not apply: ...".
"""

import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
TABLE = TESTS / "SCENARIOS.md"
COUNTS = {"E": 15, "R": 15, "M": 14, "S": 11, "T": 6, "Q": 6, "D": 20, "N": 8, "C": 5, "X": 6, "V": 3}  # 109

TEST = re.compile(r"^(?:IGNORE_)?TEST\((\w+), (\w+)\)", re.MULTILINE)
ROW = re.compile(r"^\| ([A-Z]\d+)(?:\\\*)? \| (.+?) \| (.+) \|$")


def cpputest_names():
    return {f"{group}.{name}" for path in TESTS.rglob("*_test.cc") for group, name in TEST.findall(path.read_text())}


def why_missing(reference, tests):
    """A sentence, or nothing if it exists."""
    if reference.endswith(".txt") and "/" not in reference:
        return None if (TESTS / "raft" / "transcripts" / reference).is_file() else "there is no such transcript"
    path, _, function = reference.partition("::")
    if "/" in path:
        found = next((base / path for base in (TESTS, TESTS.parent) if (base / path).is_file()), None)
        if found is None:
            return "there is no such file"
        return None if not function or f"def {function}(" in found.read_text() else "the file has no such test"
    if re.fullmatch(r"\w+\.\w+", reference):
        return None if reference in tests else "there is no such test"
    return None  # a word of the program


def main():
    tests = cpputest_names()
    rows, problems = {}, []
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        row = ROW.match(line)
        if not row:
            continue
        scenario, _, where = row.groups()
        if scenario in rows:
            problems.append(f"line {number}: {scenario} is there twice")
        rows[scenario] = where
        references = re.findall(r"`([^`]+)`", where)
        if not references and not re.search(r"(open|does not apply): \w", where):
            problems.append(f"line {number}: {scenario} names no test and no reason")
        for reference in references:
            why = why_missing(reference, tests)
            if why:
                problems.append(f"line {number}: {scenario} names {reference}: {why}")
    expected = {f"{letter}{i}" for letter, count in COUNTS.items() for i in range(1, count + 1)}
    problems += [f"{scenario} has no row" for scenario in sorted(expected - rows.keys())]
    problems += [f"{scenario} is none of the {len(expected)} scenarios" for scenario in sorted(rows.keys() - expected)]
    print("\n".join(problems) or f"{len(rows)} scenarios")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
