"""Give files their final names on a worker: the engine does it, if the attempt still counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.execution.file_messages import FileAsk, Published, PublishFile
from aetherflow.sdk.files import Way
from aetherflow.sdk.publishing import rename

AskEngine = Callable[[FileAsk], Any]
"""Asks the engine and returns the answer; blocks, and may be called in any thread.

Raises:
    StepError: the engine refused, did not answer in time, or the attempt must end.
"""


class EnginePublisher:
    """The publisher of an attempt on a worker that sees the same folders as the engine; see `publish`."""

    def __init__(self, ask: AskEngine) -> None:
        self._ask = ask

    def __call__(self, temporary: str, final: str, way: Way) -> bool:
        """Let the engine rename a file.

        Raises:
            OSError: it cannot be renamed.
            StepError: the attempt does not count any more.
        """
        question = PublishFile(_real(temporary), _real(final), way)
        what = _identity(temporary)
        answer = msgspec.convert(self._ask(question), Published)
        if what is not None and _identity(temporary) is None and _identity(final) == what:
            # An engine may have renamed it and died before it said so; the next one was asked again.
            return True
        match answer.outcome:
            case "done":
                return True
            case "taken":
                return False
            case "yours":
                return rename(temporary, final, way)
            case "refused":
                raise OSError(answer.errno, os.strerror(answer.errno), final)


def _identity(path: str) -> tuple[int, int] | None:
    """Return what a rename does not change of a file or folder; None if there is none of this name."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _real(path: str) -> bytes:
    """Return a path whose folder has no links: it means the same on the engine's machine."""
    given = Path(path)
    return os.fsencode(Path(os.path.realpath(given.parent), given.name))
