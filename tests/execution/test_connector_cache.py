"""Who shares a connector: the steps of a run, the runs of a process, or nobody."""

from __future__ import annotations

from typing import ClassVar, Self

import anyio
import pytest

from aetherflow.execution import shared_connectors
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.execution.shared_connectors import SharedConnectors
from aetherflow.sdk.connector import CacheScope, Connector, Resource


class Counted(Connector):
    """A connector that keeps a record."""

    log: ClassVar[list[str]] = []

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open, with a pause in which others may ask for the same."""
        await anyio.lowlevel.checkpoint()
        if resource.config.get("fails"):
            raise OSError("refused")
        cls.log.append(f"open {resource.name}")
        return cls(resource)

    async def aclose(self) -> None:
        """Close."""
        if self.resource.config.get("sticks"):
            raise OSError("stuck")
        self.log.append(f"close {self.resource.name}")


@pytest.fixture
def log() -> list[str]:
    Counted.log.clear()
    return Counted.log


def pool_of(cache: CacheScope, shared: SharedConnectors | None = None, **config: object) -> ConnectorPool:
    resolved: list[str] = []

    def resolve(name: str) -> Resource:
        resolved.append(name)
        return Resource(name, "db", "fake", dict(config), {}, cache)

    pool = ConnectorPool(resolve, lambda _: Counted, shared)
    pool.resolved = resolved  # type: ignore[attr-defined]  # the test asks how often
    return pool


@pytest.mark.asyncio
async def test_nobody_shares_but_one_user_gets_the_same_until_it_is_done(log: list[str]) -> None:
    pool, one, two = pool_of("none"), object(), object()
    first = await pool.get("a", one)
    assert await pool.get("a", one) is first
    assert await pool.get("a", two) is not first
    assert log == ["open a", "open a"]
    assert await pool.release(one) == []
    assert log == ["open a", "open a", "close a"]
    assert await pool.release(one) == []
    assert await pool.get("a", one) is not first
    assert await pool.aclose() == []
    assert sorted(log) == ["close a"] * 3 + ["open a"] * 3
    assert pool.resolved == ["a"] * 3  # type: ignore[attr-defined]  # see pool_of


@pytest.mark.asyncio
async def test_users_that_ask_at_once_open_one_each(log: list[str]) -> None:
    pool = pool_of("none")
    async with anyio.create_task_group() as tasks:
        for user in ("x", "y", "x", "y"):
            tasks.start_soon(pool.get, "a", user)
    assert log == ["open a", "open a"]
    await pool.aclose()


@pytest.mark.asyncio
async def test_what_a_run_shares_is_left_open_by_a_release(log: list[str]) -> None:
    pool = pool_of("run")
    first = await pool.get("a", "x")
    await pool.release("x")
    assert await pool.get("a", "y") is first
    await pool.aclose()
    assert log == ["open a", "close a"]


@pytest.mark.asyncio
async def test_the_runs_of_a_process_share_one_until_the_last_member_leaves(log: list[str]) -> None:
    server = SharedConnectors.join()
    seen = []
    for _ in range(2):
        shared = SharedConnectors.join()
        pool = pool_of("process", shared)
        seen += [await pool.get("a", "x"), await pool.get("a", "y")]
        assert pool.resolved == ["a"]  # type: ignore[attr-defined]  # see pool_of
        assert [*await pool.aclose(), *await shared.leave()] == []
    assert len(set(map(id, seen))) == 1
    assert log == ["open a"]
    assert await server.leave() == []
    assert log == ["open a", "close a"]


@pytest.mark.asyncio
async def test_a_run_alone_in_its_process_closes_it_at_its_end(log: list[str]) -> None:
    shared = SharedConnectors.join()
    pool = pool_of("process", shared)
    await pool.get("a")
    await pool.aclose()
    await shared.leave()
    assert log == ["open a", "close a"]
    again = SharedConnectors.join()
    assert again is not shared
    await again.leave()


@pytest.mark.asyncio
async def test_a_pool_that_shares_with_nobody_closes_what_it_opened(log: list[str]) -> None:
    pool = pool_of("process")
    assert await pool.get("a", "x") is await pool.get("a", "y")
    await pool.aclose()
    assert log == ["open a", "close a"]


@pytest.mark.asyncio
async def test_a_server_keeps_them_open_and_hears_what_could_not_be_closed(log: list[str]) -> None:
    reported: list[str] = []
    async with shared_connectors.keep_connectors_open(reported.append):
        for _ in range(3):
            shared = SharedConnectors.join()
            pool = pool_of("process", shared, sticks=True)
            await pool.get("a")
            await pool.aclose()
            await shared.leave()
        assert reported == []
    assert log == ["open a"]
    assert reported == ["resource a could not be closed"]


@pytest.mark.asyncio
async def test_other_settings_make_another_connector(log: list[str]) -> None:
    shared = SharedConnectors.join()
    one, two = pool_of("process", shared, user="one"), pool_of("process", shared, user="two")
    assert await one.get("a") is not await two.get("a")
    await one.aclose()
    await two.aclose()
    await shared.leave()
    assert log.count("open a") == log.count("close a") == 2


@pytest.mark.asyncio
async def test_another_class_under_the_same_name_is_another_connector(log: list[str]) -> None:
    class Changed(Counted):
        pass

    shared = SharedConnectors.join()
    one = pool_of("process", shared)
    two = ConnectorPool(lambda name: Resource(name, "db", "fake", cache="process"), lambda _: Changed, shared)
    assert type(await one.get("a")) is Counted
    assert type(await two.get("a")) is Changed
    await one.aclose()
    await two.aclose()
    await shared.leave()
    assert log.count("open a") == log.count("close a") == 2


@pytest.mark.asyncio
async def test_two_runs_that_ask_at_once_open_it_once(log: list[str]) -> None:
    shared = SharedConnectors.join()
    pools = [pool_of("process", shared) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for pool in pools:
            tasks.start_soon(pool.get, "a")
    assert log == ["open a"]
    for pool in pools:
        await pool.aclose()
    await shared.leave()


@pytest.mark.asyncio
async def test_the_oldest_that_no_run_uses_are_closed_when_they_are_many(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_connectors, "MOST_IDLE", 2)
    shared = SharedConnectors.join()
    busy = pool_of("process", shared)
    await busy.get("busy")
    for name in "abcd":
        pool = pool_of("process", shared)
        await pool.get(name)
        await pool.aclose()
    assert [line for line in log if line.startswith("close")] == ["close a", "close b"]
    await busy.aclose()
    await shared.leave()
    assert sum(line.startswith("close") for line in log) == 5


@pytest.mark.asyncio
async def test_one_that_cannot_be_opened_is_tried_anew_and_one_that_cannot_be_closed_is_reported(
    log: list[str],
) -> None:
    shared = SharedConnectors.join()
    failing = pool_of("process", shared, fails=True)
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be opened: refused"):
            await failing.get("a")
    await failing.aclose()
    sticking = pool_of("process", shared, sticks=True)
    await sticking.get("a")
    assert await sticking.aclose() == []
    assert [problem.message for problem in await shared.leave()] == ["resource a could not be closed: stuck"]
    alone = pool_of("none", sticks=True)
    await alone.get("b", "x")
    assert [problem.code for problem in await alone.release("x")] == ["AF703"]
    assert log == ["open a", "open b"]
