"""Connectors that all runs of one process share (`cache: process`): opened once, closed after the last run.

A command executes one run, so there `process` is the same as `run`. A server keeps connectors open between
its runs: it wraps its life in `keep_connectors_open`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.lowlevel import RunVar

from aetherflow.errors import ErrorInfo
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.step_failure import described
from aetherflow.task_errors import one_error

MOST_IDLE = 32
"""How many unused connectors stay open; a password that changes daily, for one, adds one every day."""

CLOSE_SECONDS = 10.0
"""How long to wait for a connector to close."""


class _Shared:
    """One open connector, the runs that use it, and a lock so that only one of them opens it."""

    def __init__(self) -> None:
        self.resource_name = ""
        self.connector: Connector | None = None
        self.users: set[object] = set()
        self.opening = anyio.Lock()


class SharedConnectors:
    """Open connectors by their class and resource, for one event loop."""

    def __init__(self) -> None:
        self._members = 0
        self._entries: dict[tuple[type[Connector], bytes], _Shared] = {}

    @classmethod
    def join(cls) -> SharedConnectors:
        """Return the shared connectors of this event loop; every `join` needs a `leave`."""
        shared = _of_this_loop.get(None)
        if shared is None:
            _of_this_loop.set(shared := cls())
        shared._members += 1
        return shared

    async def leave(self) -> list[ErrorInfo]:
        """Stop using the connectors; the last user closes them all. Return the errors."""
        self._members -= 1
        if self._members:
            return []
        if _of_this_loop.get(None) is self:
            _of_this_loop.set(None)
        entries, self._entries = list(self._entries.values()), {}
        return await _close_all(entries)

    async def get(
        self,
        cls: type[Connector],
        resource: Resource,
        user: object,
        open_it: Callable[[], Awaitable[Connector]],
    ) -> Connector:
        """Return the connector of a resource, and open it if necessary; it is in use until `release(user)`.

        Raises:
            AetherFlowError: the connector cannot be opened.
        """
        encoded = msgspec.json.encode(resource, enc_hook=repr, order="deterministic")
        # the class is part of the key: runs with other plugins may have another class of the same name
        key = cls, hashlib.blake2b(encoded).digest()
        entry = self._entries.pop(key, None) or _Shared()
        self._entries[key] = entry  # the last used comes last
        entry.users.add(user)
        async with entry.opening:
            if entry.connector is None:
                entry.resource_name = resource.name
                entry.connector = await open_it()
            return entry.connector

    async def release(self, user: object) -> list[ErrorInfo]:
        """Record that a run has ended; close the oldest unused connectors if there are many."""
        for entry in self._entries.values():
            entry.users.discard(user)
        idle = [key for key, entry in self._entries.items() if not entry.users]
        unopened = [key for key in idle if self._entries[key].connector is None]
        surplus = [key for key in idle if key not in unopened][:-MOST_IDLE]
        return await _close_all([self._entries.pop(key) for key in (*unopened, *surplus)])


@asynccontextmanager
async def keep_connectors_open(report: Callable[[str], None]) -> AsyncIterator[None]:
    """Keep the shared connectors of this event loop open in a block; `report` receives errors of closing."""
    shared = SharedConnectors.join()
    try:
        yield
    finally:
        for problem in await shared.leave():
            # Without the connector's own words: no run is left that knows which of them are secret.
            report(problem.message.partition(": ")[0])


_of_this_loop: RunVar[SharedConnectors | None] = RunVar("shared_connectors")


async def _close_all(entries: list[_Shared]) -> list[ErrorInfo]:
    problems: list[ErrorInfo] = []
    for entry in reversed(entries):
        if entry.connector is not None:
            problems += await close(entry.resource_name, entry.connector)
    return problems


async def close(resource_name: str, connector: Connector) -> list[ErrorInfo]:
    """Close a connector, shielded, within CLOSE_SECONDS; return errors instead of raising them."""
    failures: list[BaseException] = []

    async def close_it() -> None:
        try:
            await connector.aclose()
        except BaseException as error:
            if is_our_cancellation(error):
                raise
            failures.append(error)

    try:
        with anyio.fail_after(CLOSE_SECONDS, shield=True):
            async with one_error() as tasks:  # a task of its own, which it may cancel
                tasks.start_soon(close_it)
    except BaseException as error:  # reported; the other connectors must be closed all the same
        if is_our_cancellation(error):
            raise
        failures.append(error)
    start = f"resource {resource_name} could not be closed: "
    return [ErrorInfo(code="AF703", message=start + described(error)) for error in failures]
