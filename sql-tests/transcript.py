"""The language of the scripts in this folder: its parser and its interpreter. README.md describes it."""

import dataclasses
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lib"))
from cluster import Cluster, ShellError  # noqa: E402

INPUT = re.compile(r"^(?P<wait>wait )?(?P<who>[a-z]\w*> |\$ )(?P<text>.*)$")
SAME = re.compile(r"^same (?P<who>[a-z][\w ]*)> (?P<text>.*)$")
CONTINUATION = "...> "
PLACEHOLDER = re.compile(r"\{(?:(address|port|pid):)?([a-z]\w*)\}")
VERBS = ("node", "shell", "stock", "quit", "restart", "kill", "elect")
WAIT_SECONDS = 30.0


class Failed(Exception):
    """An answer was not the expected one. The message shows both."""


@dataclasses.dataclass
class Step:
    line: int
    verb: str            # "ask" (a shell), "same" (several), "system" (a command of the system), or one of VERBS
    who: str             # the shell's name, where there is one; "same": several
    text: str            # the input, or the verb's arguments
    waits: bool = False
    expected: list = dataclasses.field(default_factory=list)


def parse(text):
    """The steps of a script. Raises Failed with the line of what is not understood."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        asked, same = INPUT.match(line), SAME.match(line)
        word = line.split(maxsplit=1)[0]
        if asked:
            is_system = asked["who"] == "$ "
            steps.append(Step(number, "system" if is_system else "ask", "" if is_system else asked["who"][:-2],
                              asked["text"], bool(asked["wait"])))
        elif same:
            steps.append(Step(number, "same", same["who"], same["text"], waits=True))
        elif line.startswith(CONTINUATION) and steps:
            steps[-1].text += "\n" + line[len(CONTINUATION):]
        elif word in VERBS and (word != "kill" or line.startswith("kill -9 ")):
            rest = line[len("kill -9 "):] if word == "kill" else line[len(word) + 1:]
            who, _, text = rest.partition(" ")
            steps.append(Step(number, word, who, text))
        elif steps:
            steps[-1].expected.append(line)
        else:
            raise Failed(f"line {number}: an answer before any question: {line}")
    return steps


class Interpreter:
    """Runs the steps of one script in a directory of its own. `close` ends all its processes."""

    def __init__(self, directory, extension):
        self.cluster = Cluster(directory, extension)
        self._directory = directory
        self._aliases = {}
        self._pids = {}  # of shells that are gone, too

    def run(self, steps):
        for step in steps:
            try:
                self._run_step(step)
            except (Failed, ShellError, TimeoutError) as problem:
                raise Failed(f"line {step.line}: {problem}") from None
            except KeyError as problem:
                raise Failed(f"line {step.line}: no shell is called {problem}") from None

    def close(self):
        self.cluster.end()

    def _run_step(self, step):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answers = [[line for line in answer if line.strip()] for answer in self._answers(step)]
            wrong = next((answer for answer in answers if not self._matches(step.expected, answer)), None)
            if wrong is None and all(answer == answers[0] for answer in answers):
                return
            if not step.waits or time.monotonic() > deadline:
                raise Failed(self._difference(step, answers))
            time.sleep(0.02)

    def _answers(self, step):
        if step.verb == "same":
            return [self._answer(dataclasses.replace(step, verb="ask", who=who)) for who in step.who.split()]
        return [self._answer(step)]

    def _answer(self, step):
        who, cluster = self._aliases.get(step.who, step.who), self.cluster
        text = self._fill_in(step.text)
        if step.verb == "ask":
            return cluster.run(who, text)
        if step.verb == "system":
            done = subprocess.run(["bash", "-c", text], cwd=self._directory, capture_output=True, text=True,
                                  timeout=60, stdin=subprocess.DEVNULL)
            code = [f"exit code {done.returncode}"] if done.returncode else []
            return (done.stdout + done.stderr).splitlines() + code
        if step.verb == "elect":
            return self._elect(step.who, text)
        answer = getattr(self, "_" + step.verb)(who, text) or []
        if who in cluster.shells:
            self._pids[who] = cluster.shells[who].pid
        return answer

    def _node(self, who, parameters):
        return self.cluster.open(who, parameters)

    def _restart(self, who, parameters):
        return self.cluster.open(who, parameters) if parameters else self.cluster.reopen(who)

    def _shell(self, who, _):
        return self.cluster.start_shell(who)

    def _stock(self, who, _):
        return self.cluster.start_shell(who, with_extension=False)

    def _quit(self, who, _):
        return self.cluster.quit(who)

    def _kill(self, who, _):
        self.cluster.kill(who)

    def _elect(self, alias, text):
        """elect LEADER OTHER... from NAME...: names the shells by what they became."""
        aliases, _, names = text.partition("from ")
        names = [self._aliases.get(name, name) for name in names.split()]
        leader = self.cluster.wait_leader(names)
        others = [name for name in names if name != leader]
        self._aliases.update({alias: leader, **dict(zip(aliases.split(), others))})
        return []

    def _fill_in(self, text, escape=str):
        def value(match):
            kind, name = match[1] or "address", self._aliases.get(match[2], match[2])
            if name == "extension":
                return escape(str(self.cluster.extension.with_suffix("")))
            if kind == "pid":
                return escape(str(self._pids[name]))
            address = self.cluster.address(name)
            return escape(address.rpartition(":")[2] if kind == "port" else address)
        return PLACEHOLDER.sub(value, text)

    def _matches(self, expected, answer):
        """`...` stands for any number of lines, `~` begins a regular expression that is searched for in the line."""
        if not expected:
            return not answer
        first, rest = expected[0], expected[1:]
        if first == "...":
            return any(self._matches(rest, answer[skip:]) for skip in range(len(answer) + 1))
        if not answer:
            return False
        if first.startswith("~"):
            equal = re.search(self._fill_in(first[1:], re.escape), answer[0])
        else:
            equal = self._fill_in(first) == answer[0]
        return bool(equal) and self._matches(rest, answer[1:])

    def _difference(self, step, answers):
        who = {"ask": step.who + ">", "same": f"same {step.who}>", "system": "$"}.get(step.verb, f"{step.verb} {step.who}")
        lines = [f"{who} {step.text}" + (f" (waited {WAIT_SECONDS:.0f} s)" if step.waits else ""), "  expected:"]
        lines += ["    " + line for line in step.expected or ["(nothing)"]]
        for answer in answers:
            lines.append("  found:")
            lines += ["    " + line for line in answer or ["(nothing)"]]
        for name in step.who.split():
            shell = self._aliases.get(name, name)
            lines.append(f"  last error of {name}{f', which is {shell}' if shell != name else ''}: {self._last_error(shell)}")
        text = "\n".join(lines)
        for name, address in self.cluster.addresses.items():
            text = text.replace(address, "{" + name + "}")
        return text

    def _last_error(self, name):
        try:
            return " ".join(self.cluster.run(name, "SELECT dqlite_last_error();", timeout=5))
        except (ShellError, KeyError) as problem:
            return f"not known ({problem})"
