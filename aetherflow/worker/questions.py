"""Answer what an engine asks every worker before a run begins."""

from __future__ import annotations

import time

import msgspec

from aetherflow.execution.clocks import SayTime, Time
from aetherflow.execution.shared_folders import LookAtFolders, look


def answer_of_worker(question: bytes) -> bytes:
    """Answer a question of `OpenExecutor.ask` on a worker; blocking.

    Raises:
        msgspec.DecodeError: it is no question that this version knows.
    """
    asked = msgspec.json.decode(question, type=LookAtFolders | SayTime)
    if isinstance(asked, SayTime):
        return msgspec.json.encode(Time(time.time()))
    return msgspec.json.encode(look(asked))
