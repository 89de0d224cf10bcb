"""Give up a connection whose server leaves requests unanswered; it costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

LOOKS = 4
"""How often to look within the time that a server has."""

AGAIN_SECONDS = 0.1


class Silence:
    """Watches requests: if none of those under way is answered in time, `give_up` is called once.

    The keep-alive of SSH notices a dead network; this also notices a server whose SFTP part hangs.

    Attributes:
        has_fired: whether the server was given up.
    """

    def __init__(self, seconds: float, give_up: Callable[[], None] = lambda: None) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._pending = 0
        self._heard = 0.0
        self._is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self.has_fired = False

    def watch(self) -> Self:
        """Watch a request that is made in a `with` block."""
        return self

    def __enter__(self) -> None:
        """Begin to watch a request."""
        if not self._pending:
            loop = asyncio.get_running_loop()
            self._heard = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(self._seconds / LOOKS, self._look, loop)
        self._pending += 1

    def __exit__(self, *_: object) -> None:
        """Note that it was answered, or given up."""
        self._pending -= 1
        self._heard = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._pending or self.has_fired:
            return
        left = self._heard + self._seconds - loop.time()
        if left <= 0 and self._is_late:
            self.has_fired = True
            self._give_up()
            return
        # Twice, so that a loop that was blocked reads the answers that wait first.
        self._is_late = left <= 0
        wait = min(max(left, AGAIN_SECONDS), self._seconds / LOOKS)
        self._timer = loop.call_later(wait, self._look, loop)
