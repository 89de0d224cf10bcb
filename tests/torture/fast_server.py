"""A real server whose clock runs fast: `python fast_server.py STATE SCHEDULE SPEED ORIGIN`.

Wall time is EPOCH plus SPEED times what has passed since ORIGIN (seconds since 1970), in every process;
leases, heartbeats and waits follow it. It says `ready` on standard output.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from aetherflow.clock import SystemClock
from aetherflow.server.server import ServeRequest, serve

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


class FastClock(SystemClock):
    """The machine's clock, faster."""

    def __init__(self, speed: float, origin: float) -> None:
        self._speed = speed
        self._origin = origin

    def now(self) -> datetime:
        """Return the fast wall time."""
        return EPOCH + timedelta(seconds=(time.time() - self._origin) * self._speed)

    def monotonic(self) -> float:
        """Return fast seconds."""
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait so many fast seconds."""
        await anyio.sleep(max(seconds, 0) / self._speed)


def main(state: str, schedule: str, speed: str, origin: str) -> None:
    """Serve until a signal."""
    request = ServeRequest(files=(Path(schedule),), state=Path(state))

    async def run() -> int:
        clock = FastClock(float(speed), float(origin))
        return await serve(request, [], clock=clock, on_ready=lambda _: print("ready", flush=True))  # noqa: T201

    sys.exit(anyio.run(run))


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
