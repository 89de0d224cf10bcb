"""Do what a page says, in a folder of its own: save its files, type its commands, keep what they print."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests import warm_start
from tests.cli.command_line import AETHERFLOW, SECONDS, CommandLine, Result
from tests.manual.documents import Block, Command, blocks

HOME = "/home/ann"
"""How the pages call the folder that their reader works in."""
HOST = "worker1"
"""How they call the machine."""

_MASKS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "TIME"),
    (r"\b\d+(\.\d+)? ?(ms|s|KiB|MiB|GiB|TiB)\b", "AMOUNT"),
    (r'"duration_seconds":[\d.e-]+', "DURATION"),
    (r"\d+ zones, version \w+", "ZONES"),
    (r"\b[0-9a-f]{32,64}\b", "HASH"),
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"\b(pid|process) \d+", "PID"),
    (r"(?m)^ +outputs .* \.\.\.$", "OUTPUTS"),  # cut, and the folder of a test has a name of another length
    (r" \(\d+:\d\d:\d\d\)", ""),  # what pytest adds where it took more than a minute
    (r"[ ─]{2,}", "  "),
)
"""What differs from run to run and from machine to machine."""


_PLAIN_COMMAND = re.compile(r"aetherflow( +[\w./:=,@%+-]+)*")


class Typed(msgspec.Struct, frozen=True):
    """A command that was typed, and what came of it.

    Attributes:
        last: whether it was the last one of its block.
    """

    block: Block
    command: Command
    result: Result
    printed: str
    last: bool

    @property
    def expected_exit(self) -> int:
        """How it is to end."""
        return self.block.exit_code if self.last else 0

    @property
    def is_as_shown(self) -> bool:
        """Whether the page shows what it printed."""
        return "quiet" in self.block.words or matches(self.command.shown, self.printed)


class Visitor(CommandLine):
    """Somebody who reads a page and does what it says, at home in an empty folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = folder / ".local" / "state" / "aetherflow" / "aetherflow.sqlite"
        del self.env["AETHERFLOW_STATE_ROOT"]
        self.env["PYTEST_ADDOPTS"] = "-p no:asyncio -p no:cacheprovider"  # a reader has no such plugin
        self._exports: list[str] = []
        shim = self.write(
            ".bin/sqlite3",
            f"#!{sys.executable}\nimport sqlite3, sys\n"
            "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "for row in database.execute(sys.argv[2]):\n    print(*row, sep='|')\n",
        )
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        self.env["PATH"] = f"{shim.parent}{os.pathsep}{self.env['PATH']}"

    def follow(self, page: str) -> Iterator[Typed]:
        """Save the files of a page and type its commands, in the order of the page."""
        for block in blocks(page):
            if block.file:
                self.write(block.file, block.text.replace(HOME, str(self.folder)))
            elif block.language == "console":
                commands = block.commands()
                for number, command in enumerate(commands, 1):
                    yield self._type(block, command, last=number == len(commands))

    def _type(self, block: Block, command: Command, *, last: bool) -> Typed:
        line = command.line.replace(HOME, str(self.folder))
        if not self._exports and _PLAIN_COMMAND.fullmatch(line):
            result = self._start(line.split()[1:])
        else:
            result = self.bash("\n".join([*self._exports, f"{{ {line}\n}} 2>&1"]))
        if line.startswith(("export ", "cd ")):
            self._exports.append(line)
        printed = result.out.replace(str(self.folder), HOME).replace(socket.gethostname(), HOST)
        return Typed(
            block, command, result, "".join(f"{line.rstrip()}\n" for line in printed.splitlines()), last
        )

    def _start(self, words: list[str]) -> Result:
        """Run a command that a shell would not change; without a shell it may start warm."""
        done = warm_start.run(
            [AETHERFLOW, *words],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2 * SECONDS,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), "")


def masked(text: str) -> str:
    """Return a text without what differs from run to run."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return text.strip()


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed; a line `...` stands for any lines."""
    lines = masked(shown).splitlines()
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in lines)
    return re.fullmatch(pattern, masked(printed) + "\n" if printed.strip() else "") is not None
