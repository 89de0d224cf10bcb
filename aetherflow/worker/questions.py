"""Answer what an engine asks every worker before a run begins."""

from __future__ import annotations

import msgspec

from aetherflow.execution.shared_folders import LookAtFolders, look


def answer_of_worker(question: bytes) -> bytes:
    """Answer a question of `OpenExecutor.ask` on a worker; blocking.

    Raises:
        msgspec.DecodeError: it is no question that this version knows.
    """
    return msgspec.json.encode(look(msgspec.json.decode(question, type=LookAtFolders)))
