"""The real `sqlite3` shell as a child process, one input and one answer at a time.

Used by sql-tests, by the tests of real processes and by the example. A shell's standard output and standard error
share one raw pseudo-terminal: so their lines come in the order they were written, each as soon as it is complete.
After each input the shell is told to print a marker; what came before the marker is the answer. Every wait has a
deadline; a shell that ends or is silent for too long raises ShellError with what it said so far. One thread at a
time per shell. `end_all` ends every shell that is still there; it also runs at exit.
"""

import atexit
import os
import pty
import re
import select
import signal
import subprocess
import time
import tty

# The shell counts the lines of its input; a test that gains a line must not change every answer after it.
LINE_NUMBER = re.compile(r"^((?:Parse|Runtime) error) near line \d+:", re.M)

_living = set()


class ShellError(Exception):
    """A shell ended, or did not answer in time."""


class Shell:
    def __init__(self, name, directory, timeout=30.0, program="sqlite3", environment=None):
        self.name = name
        self.timeout = timeout
        self._markers = 0
        self._unread = b""
        master, slave = pty.openpty()
        tty.setraw(slave)
        variables = dict(os.environ, HOME=str(directory), **(environment or {}))  # no ~/.sqliterc of the user's
        self._process = subprocess.Popen([program, "-batch"], cwd=directory, stdin=subprocess.PIPE, stdout=slave,
                                         stderr=slave, env=variables)
        os.close(slave)
        self._output = master
        _living.add(self)

    @property
    def pid(self):
        return self._process.pid

    @property
    def is_alive(self):
        return self._process.poll() is None

    def run(self, text, timeout=None):
        """Gives `text` (SQL or dot commands) to the shell and returns its answer as a list of lines."""
        self.send(text)
        return self.answer(timeout)

    def send(self, text):
        """Gives `text` to the shell without waiting; one `answer` must follow."""
        self._markers += 1
        try:
            self._process.stdin.write(f"{text}\n.print {self._marker()}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ShellError(f"{self.name}: the shell has ended ({self._ending()})") from None

    def answer(self, timeout=None):
        end = (self._marker() + "\n").encode()
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            start = self._unread.find(end)
            if start >= 0:
                text, self._unread = self._unread[:start], self._unread[start + len(end):]
                return _lines(text)
            if not self._read(deadline - time.monotonic()):
                said = "\n".join(_lines(self._unread))
                if self.is_alive:
                    raise ShellError(f"{self.name}: no answer within {timeout or self.timeout:.0f} s; so far: {said}")
                raise ShellError(f"{self.name}: the shell ended without an answer ({self._ending()}); it said: {said}")

    def quit(self, timeout=10.0):
        """An orderly end. Returns what the shell still said; raises unless it ended by itself and in time.

        The shell's exit code is 1 if any input was refused in its life."""
        try:
            self._process.stdin.write(b".quit\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise ShellError(f"{self.name}: still there {timeout:.0f} s after .quit") from None
        said = _lines(self._unread)
        self._forget()
        if code not in (0, 1):
            raise ShellError(f"{self.name}: ended with code {code} after .quit; it said: {said}")
        return said

    def kill(self, number=signal.SIGKILL):
        """Ends the process at once and waits until it is gone."""
        if self.is_alive:
            self._process.send_signal(number)
        self._process.wait()
        self._forget()

    def _marker(self):
        return f"--end-of-answer-{self._markers}--"

    def _read(self, seconds):
        """Takes what the shell has said. False if there is nothing within `seconds`, or it ended."""
        ready, _, _ = select.select([self._output], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            part = os.read(self._output, 65536)
        except OSError:  # the other side of the pseudo-terminal is closed
            return False
        self._unread += part
        return bool(part)

    def _ending(self):
        try:
            return f"code {self._process.wait(1.0)}"
        except subprocess.TimeoutExpired:
            return "still running"

    def _forget(self):
        if self in _living:
            _living.discard(self)
            os.close(self._output)
            if not self._process.stdin.closed:
                try:
                    self._process.stdin.close()
                except BrokenPipeError:
                    pass


def end_all():
    for shell in list(_living):
        shell.kill()


def exit_on_signals():
    """Lets SIGTERM and SIGHUP end the program through its `finally` blocks, so that no child stays behind."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _lines(text):
    return LINE_NUMBER.sub(r"\1:", text.decode(errors="replace")).splitlines()


atexit.register(end_all)
