"""Nodes of a cluster on this machine, each a `sqlite3` shell with the extension loaded.

Used by sql-tests, by the tests of real processes and by the example. A node's directory and database are
`<root>/<name>/app.db`; its address is a free port of the loopback, kept over restarts.
"""

import pathlib
import random
import socket
import time

from sqlite_shell import Shell, ShellError

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EXTENSION = REPOSITORY / "build" / "dqlite.so"

_given_ports = set()


def free_port():
    """A port nobody listens on, below the range from which the system picks ports for outgoing connections, so
    that it is still free when a node comes back to it."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def wait_until(condition, what, timeout=30.0):
    """Asks again until `condition()` is true and returns its value; TimeoutError says what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.02)


class Cluster:
    def __init__(self, root, extension=EXTENSION, timeout=30.0):
        self.root = pathlib.Path(root)
        self.extension = pathlib.Path(extension).resolve()
        self.timeout = timeout
        self.shells = {}      # name -> Shell, of the shells that are up
        self.addresses = {}   # name -> host:port
        self._openings = {}   # name -> the parameters of its last opening

    def address(self, name):
        if name not in self.addresses:
            self.addresses[name] = f"127.0.0.1:{free_port()}"
        return self.addresses[name]

    def start_shell(self, name, with_extension=True):
        """A shell in the root directory without a database. Returns what loading the extension said: nothing."""
        if name in self.shells:
            raise ShellError(f"{name} is still up")
        shell = Shell(name, self.root, timeout=self.timeout)
        self.shells[name] = shell
        return shell.run(f".load '{self.extension.with_suffix('')}'") if with_extension else []

    def open(self, name, parameters=""):
        """Makes the directory if need be, starts a shell and opens the node. Returns what the shell said."""
        self._openings[name] = parameters
        (self.root / name).mkdir(exist_ok=True)
        said = self.start_shell(name)
        return said + self.shells[name].run(f".open 'file:{name}/app.db?vfs=dqlite{parameters and '&' + parameters}'")

    def reopen(self, name):
        """Starts a node again that has been started before, with the same parameters."""
        return self.open(name, self._openings[name])

    def run(self, name, text, timeout=None):
        return self.shells[name].run(text, timeout)

    def quit(self, name, timeout=10.0):
        return self.shells.pop(name).quit(timeout)

    def kill(self, name):
        self.shells.pop(name).kill()

    def leads(self, name):
        return self.run(name, "SELECT count(*) FROM dqlite_cluster WHERE is_self AND is_leader;") == ["1"]

    def wait_leader(self, names, timeout=20.0):
        """The one of `names` that leads, as itself knows."""
        return wait_until(lambda: next((name for name in names if self.leads(name)), None),
                          f"a leader among {', '.join(names)}", timeout)

    def wait_answer(self, name, text, expected, timeout=30.0):
        """Asks again until the answer is `expected` (a list of lines)."""
        last = []

        def asked():
            last[:] = self.run(name, text)
            return last == expected
        try:
            wait_until(asked, text, timeout)
        except TimeoutError:
            raise TimeoutError(f"{name}> {text}: waited {timeout:.0f} s for {expected}, "
                               f"the last answer was {last}") from None

    def end(self):
        """Ends every shell at once, without a word."""
        while self.shells:
            self.kill(next(iter(self.shells)))


__all__ = ["Cluster", "ShellError", "EXTENSION", "REPOSITORY", "free_port", "wait_until"]
