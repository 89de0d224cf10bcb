"""Connectors are opened once, closed at the end, and their failures name the resource."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ClassVar, Self

import anyio
import pytest

from aetherflow.errors import ConfigError, StepError
from aetherflow.execution import shared_connectors
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.sdk.connector import Connector, Resource


class Base(Connector):
    """A connector that keeps a record."""

    log: ClassVar[list[str]] = []

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open, with a pause in which others may ask for the same."""
        await anyio.lowlevel.checkpoint()
        cls.log.append(f"open {resource.name}")
        return cls(resource)

    async def aclose(self) -> None:
        """Close."""
        self.log.append(f"close {self.resource.name}")


def made(**methods: Callable[..., object]) -> type[Base]:
    """Return a connector class with a record of its own and these methods."""
    return type("Made", (Base,), {"log": [], **methods})


def pool_of(cls: type[Connector], known: str = "abc") -> ConnectorPool:
    """Return a pool in which every letter is a resource."""

    def resolve(name: str) -> Resource:
        if name not in known:
            raise ConfigError(f"the flow has no resource {name!r}", code="AF550")
        return Resource(name, "db", "fake", {"user": name})

    def class_of(name: str) -> type[Connector]:
        assert name == "db:fake"
        return cls

    return ConnectorPool(resolve, class_of)


@pytest.mark.asyncio
async def test_steps_that_ask_at_once_get_the_same_connector_opened_once() -> None:
    cls = made()
    pool, got = pool_of(cls), list[Connector]()

    async def ask(name: str) -> None:
        got.append(await pool.get(name))

    async with anyio.create_task_group() as tasks:
        for name in "aabab":
            tasks.start_soon(ask, name)
    assert sorted(cls.log) == ["open a", "open b"]
    assert len(set(map(id, got))) == 2


@pytest.mark.asyncio
async def test_connectors_are_closed_in_reverse_order_and_once() -> None:
    cls = made()
    pool = pool_of(cls)
    for name in "cab":
        await pool.get(name)
    assert await pool.aclose() == []
    assert await pool.aclose() == []
    assert cls.log == ["open c", "open a", "open b", "close b", "close a", "close c"]


@pytest.mark.asyncio
async def test_a_resource_is_resolved_and_its_class_imported_off_the_loop() -> None:
    threads: list[int] = []

    def resolve(name: str) -> Resource:
        threads.append(threading.get_ident())
        return Resource(name, "db", "fake")

    def class_of(name: str) -> type[Connector]:
        threads.append(threading.get_ident())
        assert name == "db:fake"
        return made()

    await ConnectorPool(resolve, class_of).get("a")
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.asyncio
async def test_a_vault_that_hangs_does_not_keep_a_step_from_being_cancelled() -> None:
    asked, release = threading.Event(), threading.Event()

    def resolve(name: str) -> Resource:
        asked.set()
        release.wait(30)
        return Resource(name, "db", "fake")

    pool = ConnectorPool(resolve, pytest.fail)
    try:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pool.get, "a")
                await anyio.to_thread.run_sync(asked.wait, 5)
                tasks.cancel_scope.cancel()
    finally:
        release.set()


@pytest.mark.asyncio
async def test_a_connector_that_cannot_be_opened_is_a_connection_failure_that_names_the_resource() -> None:
    async def broken(cls: type[Connector], resource: Resource) -> Connector:
        raise OSError(f"{cls.__name__}: no route for {resource.config['user']}")

    with pytest.raises(StepError) as raised:
        await pool_of(made(open=classmethod(broken))).get("a")  # type: ignore[arg-type]  # made at run time
    assert (raised.value.kind, raised.value.code) == ("connection", "AF704")
    assert raised.value.message == "resource a (db:fake) cannot be opened: Made: no route for a"
    assert isinstance(raised.value.__cause__, OSError)


@pytest.mark.asyncio
async def test_what_a_connector_says_itself_is_passed_on() -> None:
    async def refused(cls: type[Connector], resource: Resource) -> Connector:
        raise StepError(f"bad password for {resource.name}", hint=cls.__name__, code="AF900")

    with pytest.raises(StepError, match="bad password for a") as raised:
        await pool_of(made(open=classmethod(refused))).get("a")  # type: ignore[arg-type]  # made at run time
    assert raised.value.code == "AF900"


@pytest.mark.asyncio
async def test_a_failed_opening_is_tried_again_by_the_next_who_asks() -> None:
    attempts: list[str] = []

    async def second_time(cls: type[Base], resource: Resource) -> Base:
        attempts.append(resource.name)
        if len(attempts) == 1:
            raise ConnectionRefusedError("not yet")
        return cls(resource)

    pool = pool_of(made(open=classmethod(second_time)))  # type: ignore[arg-type]  # made at run time
    with pytest.raises(StepError, match="not yet"):
        await pool.get("a")
    assert isinstance(await pool.get("a"), Base)
    assert attempts == ["a", "a"]


@pytest.mark.asyncio
async def test_an_unknown_resource_is_refused_and_nothing_is_opened() -> None:
    cls = made()
    with pytest.raises(ConfigError, match="no resource 'z'"):
        await pool_of(cls).get("z")
    assert cls.log == []


@pytest.mark.asyncio
async def test_one_that_cannot_be_closed_and_one_that_hangs_are_reported_and_the_others_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_connectors, "CLOSE_SECONDS", 0.1)
    closed: list[str] = []

    async def close(self: Base) -> None:
        if self.resource.name == "a":
            raise OSError("half sent")
        if self.resource.name == "b":
            await anyio.sleep_forever()
        closed.append(self.resource.name)

    pool = pool_of(made(aclose=close))
    for name in "cab":
        await pool.get(name)
    problems = await pool.aclose()
    assert [(problem.code, problem.message) for problem in problems] == [
        ("AF703", "resource b could not be closed: TimeoutError"),
        ("AF703", "resource a could not be closed: half sent"),
    ]
    assert closed == ["c"]


@pytest.mark.asyncio
async def test_connectors_are_closed_though_the_run_is_cancelled() -> None:
    cls = made()
    pool = pool_of(cls)
    await pool.get("a")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.aclose()
    assert cls.log == ["open a", "close a"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BaseException("a panic"), "BaseException: a panic"),
        (asyncio.CancelledError("not ours"), "CancelledError: not ours"),
        (SystemExit(3), r"it called sys.exit(3)"),
        (BaseExceptionGroup("two", [SystemExit(1), ValueError("b")]), "it called sys.exit(1); b"),
    ],
)
async def test_what_a_connector_raises_is_reported_whatever_it_is(error: BaseException, said: str) -> None:
    async def fail(_self: object, *_rest: object) -> None:
        raise error

    with pytest.raises(StepError) as raised:
        await pool_of(made(open=classmethod(fail))).get("a")  # type: ignore[arg-type]  # made at run time
    pool = pool_of(made(aclose=fail))
    await pool.get("a")
    (problem,) = await pool.aclose()
    assert raised.value.message == f"resource a (db:fake) cannot be opened: {said}"
    assert problem.message == f"resource a could not be closed: {said}"
