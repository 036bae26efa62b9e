"""Turns the transcript in README.md into a script of this folder's language, so that it is a test.

The transcript is the code block that begins with a line '$ mkdir -p n1 && sqlite3'. In it, a line
'$ ... && sqlite3   # terminal N' begins to use terminal N, 'sqlite> ' is an input there, and the lines after it are the answer.
The addresses and the extension's path are those of a user; here each becomes that of the test.
"""

import re

BLOCK = re.compile(r"^```\w*\n(\$ mkdir -p n1 && sqlite3.*?)^```", re.M | re.S)
TERMINAL = re.compile(r"^\$ (?P<command>.*?) && sqlite3\s+# terminal (?P<number>\d)")
ADDRESS = re.compile(r"127\.0\.0\.1:900(\d)")


def readme_transcript(text):
    block = BLOCK.search(text)
    if not block:
        raise SystemExit("README.md: no code block begins with '$ mkdir -p n1 && sqlite3'")
    script, terminal = [], ""
    for line in block[1].splitlines():
        opened = TERMINAL.match(line)
        if opened:
            terminal = f"t{opened['number']}"
            script += ["$ " + opened["command"], f"stock {terminal}"]
        elif line.startswith("sqlite> "):
            script.append(f"{terminal}> " + line[len("sqlite> "):])
        else:
            script.append(line)
    text = ADDRESS.sub(r"{n\1}", "\n".join(script))
    return text.replace(".load build/dqlite", ".load '{extension}'")
