"""Repeat the works of a scheduler until it stops, also when the database fails or the server stands by."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import StateError, StateMoved
from aetherflow.scheduler.server_clocks import StandsBy

AGAIN_SECONDS = 1.0
"""How long a work waits before it is tried again."""

Work = Callable[[], Coroutine[Any, Any, object]]


class RepeatedWork:
    """Repeats works; reports once for all of them that the database fails, and that it works again."""

    def __init__(
        self, clock: Clock, on_failure: Callable[[StateError], None], on_success: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._on_success = on_success
        self._failing: set[Work] = set()
        self._scopes: set[anyio.CancelScope] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """End all works."""
        self._is_stopped = True
        for scope in self._scopes:
            scope.cancel()

    async def repeat(self, work: Work) -> None:
        """Do a work again and again until stopped."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            while not self._is_stopped:
                try:
                    await work()
                except (StandsBy, StateMoved):  # the server notices the latter too, says so once, and ends
                    await self._clock.sleep(AGAIN_SECONDS)
                except StateError as error:
                    if not self._failing:  # one work may read while another cannot write: one report for all
                        self._on_failure(error)
                    self._failing.add(work)
                    await self._clock.sleep(AGAIN_SECONDS)
                else:
                    self._works_again(work)
        self._scopes.discard(scope)

    def _works_again(self, work: Work) -> None:
        if work in self._failing:
            self._failing.discard(work)
            if not self._failing:
                self._on_success()
