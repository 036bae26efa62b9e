#!/usr/bin/python3
"""Runs the scripts of this folder, several at a time; the last line is 'N passed, N failed'.

    run.py [--dqlite PATH] [--jobs N] [--keep] [NAME...]      NAME: a part of a script's name
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import sys
import tempfile
import time

import transcript
from cluster import EXTENSION, REPOSITORY
from readme import readme_transcript
from sqlite_shell import exit_on_signals

HERE = pathlib.Path(__file__).resolve().parent


def scripts(parts):
    """(name, text) of every script wanted, README's transcript among them."""
    found = [(str(path.relative_to(HERE).with_suffix("")), path.read_text()) for path in sorted(HERE.rglob("*.test"))]
    found.append(("readme", readme_transcript((REPOSITORY / "README.md").read_text())))
    return [(name, text) for name, text in found if not parts or any(part in name for part in parts)]


def run_script(name, text, extension, keep):
    """Returns (seconds, problem); the problem is empty if all went as expected."""
    start, problem = time.monotonic(), ""
    directory = tempfile.mkdtemp(prefix="sql-test-")
    interpreter = transcript.Interpreter(pathlib.Path(directory), extension)
    try:
        interpreter.run(transcript.parse(text))
    except transcript.Failed as failure:
        problem = str(failure)
    finally:
        interpreter.close()
        if keep and problem:
            problem += f"\n  directory: {directory}"
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return time.monotonic() - start, problem


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--dqlite", default=EXTENSION)
    options.add_argument("--jobs", type=int, default=4)
    options.add_argument("--keep", action="store_true", help="keep the directory of a script that failed")
    options.add_argument("names", nargs="*")
    given = options.parse_args()
    exit_on_signals()
    wanted = scripts(given.names)
    failed = 0
    pool = concurrent.futures.ThreadPoolExecutor(given.jobs)
    try:
        running = [(name, pool.submit(run_script, name, text, given.dqlite, given.keep)) for name, text in wanted]
        for name, future in running:
            seconds, problem = future.result()
            print(f"{'FAILED' if problem else 'ok    '}  {name}  ({seconds:.1f} s)", flush=True)
            if problem:
                failed += 1
                print("  " + problem.replace("\n", "\n  "), flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    print(f"{len(wanted) - failed} passed, {failed} failed")
    return 1 if failed or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
