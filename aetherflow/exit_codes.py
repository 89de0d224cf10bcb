"""The exit codes of the commands, the only place that has these numbers. Imports nothing."""

from __future__ import annotations

SUCCESS = 0
"""The command did what it should; a run ended with SUCCESS."""

FAILURE = 1
"""A run failed, or AetherFlow could not go to the end of what it did."""

INVALID = 2
"""The command line, a file, a setting or a resource is wrong: nothing was run."""

HELD = 75
"""Another process holds the run or the lock: try later (EX_TEMPFAIL of sysexits.h)."""


def of_signal(number: int) -> int:
    """Return the exit code of a command that a signal ended, as shells report it: 130 for SIGINT."""
    return 128 + number
