"""Connections that are cut at any byte, fall silent or are slow: no half file has a name, all arrive.

A flow with `retry` uploads or downloads files through a proxy that breaks the network, while the folder where
they arrive is watched.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from aetherflow.events.run_events import StepRetrying
from aetherflow.testing import FlowRun, run_flow
from tests.servers.openssh import needs_openssh
from tests.servers.samba import Samba
from tests.servers.tcp_proxy import Direction, TcpProxy
from tests.sizes import LARGE
from tests.torture.far_servers import FarServer, ServerName, content_of, far_server, wrong_files
from tests.torture.processes import seed

CUTS = 170 if LARGE else 17
"""For each of three servers and two directions: 1,020 in all, or 102."""
CUTS_OF_A_RUN = 9
MB = 2**20

Move = Literal["upload", "download"]

pytestmark = [pytest.mark.torture, pytest.mark.asyncio]
servers = pytest.mark.parametrize(
    "server", ["asyncssh", pytest.param("openssh", marks=needs_openssh), "samba"]
)
moves = pytest.mark.parametrize("move", ["upload", "download"])
PAIRS = [("asyncssh", "upload"), ("openssh", "download"), ("samba", "upload")]
PAIRS += [("asyncssh", "download"), ("openssh", "upload"), ("samba", "download")] if LARGE else []
some = pytest.mark.parametrize(
    ("server", "move"),
    [pytest.param(*pair, marks=needs_openssh if pair[0] == "openssh" else ()) for pair in PAIRS],
)


@pytest.fixture
def smbd(request: pytest.FixtureRequest) -> Callable[[], Samba]:
    """Return the Samba of the session when it is needed."""
    return lambda: request.getfixturevalue("samba_server")


class Trip:
    """One transfer of files between this machine and a server, over a proxy."""

    def __init__(self, place: Path, name: str, move: Move, far: FarServer, proxy: TcpProxy) -> None:
        self.place = place
        self.move = move
        self.proxy = proxy
        here, there = place / f"{name}-here", far.folder / f"{name}-there"
        self.source, self.target = (here, there) if move == "upload" else (there, here)
        self._flow = place / f"{name}.yaml"
        folder = "src_dir" if move == "upload" else "dest_dir"
        self._step = {
            "id": "go",
            "type": f"{far.kind}_{move}_files",
            "inputs": {
                "resource": "far",
                "remote_dir": f"{far.root}/{there.name}",
                folder: str(here),
                "recursive": True,
            },
            "retry": {
                "max_attempts": 3 * CUTS_OF_A_RUN,
                "backoff_seconds": 0.01,
                "max_backoff_seconds": 0.02,
            },
        }
        self._far = far

    @property
    def main(self) -> Direction:
        """The direction in which the files go."""
        return "up" if self.move == "upload" else "down"

    @property
    def passed(self) -> int:
        """How many bytes have gone in that direction."""
        return self.proxy.up if self.move == "upload" else self.proxy.down

    def write(self, sizes: dict[str, int]) -> dict[str, str]:
        """Write files of random bytes to the source, and return their checksums."""
        for name, size in sizes.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        return content_of(self.source)

    async def run(self, right: dict[str, str], **options: Any) -> FlowRun:
        """Run the flow and watch the target; check what arrived."""
        content = {
            "version": 1,
            "flow": {"id": "trip"},
            "resources": {"far": self._far.resource(self.proxy.port, **options)},
            "jobs": [{"id": "trip", "steps": [self._step]}],
        }
        self._flow.write_text(json.dumps(content))
        async with self._watched(right):
            ended = await run_flow(self._flow, self.place / self._flow.stem)
        assert ended.status == "SUCCESS", ended.seen.of(StepRetrying)
        assert content_of(self.target) == right
        return ended

    @asynccontextmanager
    async def _watched(self, right: dict[str, str]) -> AsyncIterator[None]:
        """Look again and again for names under which something else is than a whole file."""
        known: set[tuple[str, int]] = set()

        async def watch() -> None:
            while True:
                assert not list(wrong_files(self.target, right, known)), "a part of a file has its name"
                await asyncio.sleep(0.1)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            (error,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(error, asyncio.CancelledError), error


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():  # noqa: ASYNC110 - the proxy has no event for it
        await asyncio.sleep(0.01)


@servers
@moves
async def test_files_arrive_whole_wherever_the_connection_is_cut(
    server: ServerName,
    move: Move,
    smbd: Callable[[], Samba],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    number = seed()
    chance = random.Random(f"{number}{server}{move}")  # noqa: S311 - repeatable, keeps no secret
    sizes = {"large.bin": 9 * MB + 12_345, "middle.bin": MB, "empty": 0}
    sizes |= {f"sub{n % 2}/small-{n}": chance.randrange(1, 30_000) for n in range(8)}
    cuts = runs = 0

    async def cut(trip: Trip, count: int) -> None:
        """Cut at so many random offsets, each counted from the cut before."""
        for _ in range(count):
            is_main = chance.random() < 0.8
            direction = trip.main if is_main else "down" if trip.main == "up" else "up"
            most = sum(sizes.values()) if is_main else 5_000
            offset = chance.randrange(1, most) if chance.random() < 0.3 else int(most ** chance.random())
            before = trip.proxy.cuts
            trip.proxy.cut_after(offset, direction, chance.choice(["rst", "rst", "fin"]))
            await reached(lambda before=before: trip.proxy.cuts > before)  # type: ignore[misc]  # a lambda with a default

    async with far_server(server, tmp_path / "server", smbd) as far:
        while cuts < CUTS:
            with TcpProxy(far.port) as proxy:
                trip = Trip(tmp_path, f"trip{runs}", move, far, proxy)
                right = await asyncio.to_thread(trip.write, sizes)
                cutting = asyncio.create_task(cut(trip, min(CUTS_OF_A_RUN, CUTS - cuts)))
                try:
                    await asyncio.wait_for(trip.run(right, timeout=10), 300)
                finally:
                    cutting.cancel()
                cuts += proxy.cuts
                runs += 1
    assert cuts == CUTS
    counted = f"{cuts} cuts in {runs} transfers of {len(sizes)} files, 0 half files, 0 wrong bytes"
    record_property("torture", f"cut connections, {server}, {move}, seed {number}: {counted}")


@some
async def test_a_cut_file_is_continued_and_not_sent_again(
    server: ServerName, move: Move, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    size = (400 if LARGE else 20) * MB
    async with far_server(server, tmp_path / "server") as far:
        with TcpProxy(far.port) as proxy:
            trip = Trip(tmp_path, "trip", move, far, proxy)
            right = await asyncio.to_thread(trip.write, {"large.bin": size})
            proxy.cut_after(size * 9 // 10, trip.main)
            await trip.run(right, timeout=10)
            assert proxy.cuts == 1
            again = trip.passed - size
    most = (16 if move == "upload" else 9) * MB  # what was under way, and of an upload BACK_BYTES
    assert again < most + size // 100, f"{again:,} bytes were sent again"
    counted = f"{again / MB:.1f} MB of {size // MB} MB were sent twice after a cut at 90 %"
    record_property("torture", f"continued, {server}, {move}: {counted}")


@some
async def test_a_network_that_swallows_everything_fails_the_attempt_in_time(
    server: ServerName, move: Move, smbd: Callable[[], Samba], tmp_path: Path
) -> None:
    async with far_server(server, tmp_path / "server", smbd) as far:
        with TcpProxy(far.port) as proxy:
            trip = Trip(tmp_path, "trip", move, far, proxy)
            right = await asyncio.to_thread(trip.write, {"large.bin": 9 * MB, "a": 10, "b": 10_000})

            async def pause() -> None:
                await reached(lambda: trip.passed > 4 * MB)
                proxy.pause()
                before = proxy.connections
                await reached(lambda: proxy.connections > before)  # the attempt failed, another connects
                proxy.heal()

            pausing = asyncio.create_task(pause())
            await asyncio.wait_for(trip.run(right, timeout=1), 60)
            assert pausing.done(), "it was not paused"
            await pausing


@some
async def test_a_slow_network_is_no_silent_one(
    server: ServerName, move: Move, smbd: Callable[[], Samba], tmp_path: Path
) -> None:
    async with far_server(server, tmp_path / "server", smbd) as far:
        with TcpProxy(far.port) as proxy:
            proxy.slow(250_000)  # 2 MB, a block of the transfer, need longer than the timeout
            trip = Trip(tmp_path, "trip", move, far, proxy)
            sizes = {"large.bin": 2 * MB, "other.bin": MB // 2, "a": 10, "b": 10_000}
            right = await asyncio.to_thread(trip.write, sizes)
            ended = await asyncio.wait_for(trip.run(right, timeout=5), 60)
    assert [one.error.message for one in ended.seen.of(StepRetrying)] == []
