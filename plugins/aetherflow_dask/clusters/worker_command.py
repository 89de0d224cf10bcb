"""The command line of a worker that is started for the length of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from aetherflow import TlsFiles

Log = Callable[[str, str], None]
"""Shows a line, given as its level and its text."""

Started = tuple[str, TlsFiles | None]
"""A cluster that was started: the address of its scheduler, and its certificates if it has some."""


class WorkerCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers of a cluster have in common.

    Attributes:
        threads: how many attempts each runs at once.
        labels: what `runs_on` names.
        resources: how much of each resource each offers.
        lost_after: seconds without the scheduler after which they stop their attempts.
    """

    threads: int
    labels: Collection[str] = ()
    resources: Mapping[str, float] = {}
    lost_after: float = 30.0

    def options(self, *, project: str = "") -> list[str]:
        """Return options of `aetherflow worker`; each is a word of a command line, not quoted."""
        words: list[str] = []
        words += ["--project", project] if project else []
        words += ["--lost-after", f"{self.lost_after:g}s"]
        words += [word for label in self.labels for word in ("--label", label)]
        words += [
            word for one, amount in self.resources.items() for word in ("--resource", f"{one}={amount:g}")
        ]
        return words

    def held(self, address: str, name: str, *, project: str = "") -> list[str]:
        """Return the words behind `aetherflow` for a worker that ends with its standard input."""
        words = ["worker", address, "--stdin", "--log-format", "json", "--name", name]
        return [*words, "--threads", str(self.threads), *self.options(project=project)]


class _Line(msgspec.Struct):
    level: str
    message: str


def said_by_worker(line: str) -> tuple[str, str]:
    """Return the level and the text of a line that a worker printed; something else may have printed it."""
    try:
        found = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        return "info", line.rstrip()
    return found.level, found.message
