"""Receivers of signals that are opened one after the other, by runs of one process, and end in any order."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

import anyio
import pytest

from aetherflow.runs.received_signals import ReceivedSignals


@pytest.mark.asyncio
@pytest.mark.parametrize("order", ["abc", "cba", "bac", "bca"])
async def test_what_took_the_signals_before_has_them_again_when_all_have_ended(order: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    open_: dict[str, ReceivedSignals] = {}
    stacks = {name: ExitStack() for name in "abc"}
    for name, stack in stacks.items():
        open_[name] = stack.enter_context(ReceivedSignals(lambda _number: None))
        open_[name].open([signal.SIGTERM])
    for name in order[:-1]:
        stacks[name].close()
    os.kill(os.getpid(), signal.SIGTERM)
    with anyio.fail_after(30):
        assert await anext(open_[order[-1]]) == signal.SIGTERM
    stacks[order[-1]].close()
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(wakeup) == wakeup
