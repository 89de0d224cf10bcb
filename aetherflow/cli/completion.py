"""Answer a shell that asks how a word can be completed; bash splits words at `:`, which run ids may hold.

The protocol is that of typer: the shell sets a variable with the words and prints nothing but the answer.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

from aetherflow import exit_codes

VARIABLE = "_AETHERFLOW_COMPLETE"


def answer(complete: Callable[[], object]) -> int:
    """Call typer's completion, print its answer as the shell wants it, and return the exit code."""
    before = _join_words() if os.environ[VARIABLE] == "complete_bash" else ""
    found, code = io.StringIO(), exit_codes.SUCCESS
    with redirect_stdout(found), redirect_stderr(io.StringIO()):
        try:
            complete()
        except SystemExit as ended:  # so typer ends
            code = ended.code if isinstance(ended.code, int) else exit_codes.FAILURE
        except Exception:  # noqa: BLE001 - a word in the middle of a command line is no place for an error
            return exit_codes.FAILURE
    for line in found.getvalue().splitlines():
        sys.stdout.write(f"{line.removeprefix(before)}\n")
    return code


def _join_words() -> str:
    """Join the words that bash has split at colons; return the part of the last that bash keeps itself."""
    words = os.environ.get("COMP_WORDS", "").split("\n")
    cursor = os.environ.get("COMP_CWORD", "")
    if ":" not in words or not cursor.isdecimal():
        return ""
    joined: list[str] = []
    is_open = False
    for word in words[: int(cursor) + 1]:
        if joined and (word == ":" or is_open):
            joined[-1] += word
        else:
            joined.append(word)
        is_open = word == ":"
    os.environ["COMP_WORDS"] = "\n".join(joined)
    os.environ["COMP_CWORD"] = str(len(joined) - 1)
    return joined[-1][: joined[-1].rfind(":") + 1]
