"""What the tests of this folder share: worker processes, scratch directories, and Python programs run as a user would."""

import json
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from cluster import EXTENSION, free_port, wait_until  # noqa: E402, F401

PYTHON = "/usr/bin/python3"  # Debian's: its sqlite3 module can load extensions


class Worker:
    """A worker.py process and what it said. `tried`, `acknowledged` and `refused` are sets of ids."""

    def __init__(self, directory, name, port, parameters=""):
        (directory / name).mkdir(exist_ok=True)
        uri = f"file:{directory}/{name}/app.db?vfs=dqlite&listen=127.0.0.1:{port}{parameters}"
        self.name = name
        self.tried, self.acknowledged, self.refused = set(), set(), set()
        self._answers = queue.Queue()
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen([PYTHON, HERE / "worker.py", EXTENSION.with_suffix(""), uri, name],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def wait_for(self, word, timeout=30.0):
        """The rest of the next line that begins with `word`."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name} did not say '{word}' within {timeout:.0f} s; "
                                     f"standard error: {self.errors()}") from None
            if line is None:
                raise AssertionError(f"{self.name} ended; standard error: {self.errors()}")
            if line.partition(" ")[0] == word:
                return line.partition(" ")[2]

    def report(self):
        self.tell("report")
        return json.loads(self.wait_for("report"))

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()  # all it said before is now counted

    def quit(self, timeout=10.0):
        self.tell("quit")
        code = self._process.wait(timeout)
        self._reader.join()
        return code

    def is_alive(self):
        return self._process.poll() is None

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode()

    def _read(self):
        kinds = {"try": self.tried, "ok": self.acknowledged, "no": self.refused}
        for line in self._process.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word in kinds:
                kinds[word].add(rest)
            else:
                self._answers.put(line.rstrip("\n"))
        self._answers.put(None)


class ScratchTest(unittest.TestCase):
    """A test with a directory of its own, `self.directory`. It fails if it waits for something for five minutes."""

    LONGEST_S = 300

    def setUp(self):
        def give_up(*_):
            raise TimeoutError(f"the test has not ended after {self.LONGEST_S} seconds")
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(self.LONGEST_S)
        self.addCleanup(signal.alarm, 0)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="process-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def program(self, text, *arguments, timeout=60, code=0):
        """Runs `text` as a Python program that has `connect(uri)`; returns what it printed. It must end with `code`."""
        prologue = (HERE / "prologue.py").read_text().replace("EXTENSION", repr(str(EXTENSION.with_suffix(""))))
        done = subprocess.run([PYTHON, "-c", prologue + text, *map(str, arguments)], cwd=self.directory, timeout=timeout,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(code, done.returncode, f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, text, *arguments, prefix=()):
        """The same, left running; ended at the end of the test. Returns the Popen. `prefix`: a command that starts it."""
        prologue = (HERE / "prologue.py").read_text().replace("EXTENSION", repr(str(EXTENSION.with_suffix(""))))
        process = subprocess.Popen([*prefix, PYTHON, "-c", prologue + text, *map(str, arguments)], cwd=self.directory,
                                   text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def end():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def stock(self, path, sql):
        """What stock sqlite3 says, in lines."""
        done = subprocess.run(["sqlite3", self.directory / path, sql], capture_output=True, text=True, timeout=60)
        return (done.stdout + done.stderr).splitlines()
