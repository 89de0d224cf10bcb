"""The open connectors of one run: each opened at its first use, all closed at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import anyio

from aetherflow.errors import AetherFlowError, ErrorInfo, StepError
from aetherflow.execution.shared_connectors import SharedConnectors, close
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.step_failure import described
from aetherflow.worker_threads import WorkerThreads

_preparing_threads = WorkerThreads("secrets and connectors", 16)
_Prepared = tuple[type[Connector], Resource]


class ConnectorPool:
    """Opens connectors on demand and shares them between steps, as the `cache` of each resource says."""

    def __init__(
        self,
        resolve: Callable[[str], Resource],
        connector_class: Callable[[str], type[Connector]],
        shared: SharedConnectors | None = None,
        *,
        knows: Callable[[str], bool] = lambda _name: False,
        on_release: Callable[[], None] = lambda: None,
    ) -> None:
        """Create an empty pool.

        Args:
            resolve: returns a resource by its name; blocking.
            connector_class: returns a class by `kind:driver`; blocking.
            shared: connectors that several runs share; without it, none are shared.
            knows: returns whether a resource of a name is declared.
            on_release: called when a user has ended.
        """
        self._resolve = resolve
        self._connector_class = connector_class
        self._shared = shared
        self._knows = knows
        self._on_release = on_release
        self._open: dict[str, Connector] = {}
        self._own: dict[object, dict[str, Connector]] = {}
        self._locks: dict[tuple[str, object], anyio.Lock] = {}
        self._uncached: set[str] = set()
        self._borrowed: set[str] = set()

    def knows(self, name: str) -> bool:
        """Whether a resource of this name is declared."""
        return self._knows(name)

    async def get(self, name: str, user: object = None) -> Connector:
        """Return the open connector of a resource.

        Args:
            name: the resource.
            user: the owner of the connector until `release`, if its `cache` is none.

        Raises:
            AetherFlowError: the resource is not declared or cannot be opened; the message names it.
        """
        prepared: _Prepared | None = None
        if name not in self._uncached:
            async with self._locks.setdefault((name, None), anyio.Lock()):
                if name not in self._open and name not in self._uncached:
                    prepared = await self._prepare(name)
                    await self._open_common(name, *prepared)
                if name in self._open:
                    return self._open[name]
        return await self._get_own(name, user, prepared)

    async def _open_common(self, name: str, cls: type[Connector], resource: Resource) -> None:
        """Open a connector that several steps share, or record that its `cache` is none."""
        match resource.cache:
            case "process" if self._shared is not None:
                self._open[name] = await self._shared.get(
                    cls, resource, self, partial(open_connector, cls, resource)
                )
                self._borrowed.add(name)
            case "run" | "process":
                self._open[name] = await open_connector(cls, resource)
            case "none":
                self._uncached.add(name)
        if name in self._open:
            _warn(self._open[name])

    async def _get_own(self, name: str, user: object, prepared: _Prepared | None) -> Connector:
        async with self._locks.setdefault((name, user), anyio.Lock()):
            own = self._own.setdefault(user, {})
            if name not in own:
                own[name] = await open_connector(*(prepared or await self._prepare(name)))
                _warn(own[name])
            return own[name]

    async def _prepare(self, name: str) -> _Prepared:
        # A secrets provider may ask a vault, a connector imports its library: not on the loop.
        return await _preparing_threads.run(self._look_up, name, abandon_on_cancel=True)

    def _look_up(self, name: str) -> _Prepared:
        resource = self._resolve(name)
        return self._connector_class(f"{resource.kind}:{resource.driver}"), resource

    async def release(self, user: object) -> list[ErrorInfo]:
        """Close the connectors that only this user has open, because it ends; return the errors."""
        self._on_release()
        problems: list[ErrorInfo] = []
        for name, connector in reversed(self._own.pop(user, {}).items()):
            self._locks.pop((name, user), None)
            problems += await close(name, connector)
        return problems

    async def aclose(self) -> list[ErrorInfo]:
        """Close all connectors of the run; return the errors."""
        problems: list[ErrorInfo] = []
        for user in tuple(self._own):
            problems += await self.release(user)
        opened_here, self._open = self._open, {}
        for name, connector in reversed(opened_here.items()):
            if name not in self._borrowed:
                problems += await close(name, connector)
        return problems if self._shared is None else [*problems, *await self._shared.release(self)]


def _warn(connector: Connector) -> None:
    """Show what a run has to know of a connector that it begins to use, as lines of the step that does."""
    for caution in connector.cautions:
        logging.getLogger().warning("%s", caution)


async def open_connector(cls: type[Connector], resource: Resource) -> Connector:
    """Open a connector.

    Raises:
        AetherFlowError: the connector cannot be opened; the message names its resource.
    """
    try:
        return await cls.open(resource)
    except AetherFlowError:
        raise
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        what = f"resource {resource.name} ({resource.kind}:{resource.driver})"
        raise StepError(
            f"{what} cannot be opened: {described(error)}",
            hint="check its config and options, and that the other side answers",
            kind="connection",
            code="AF704",
        ) from error
