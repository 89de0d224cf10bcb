"""Adapt connectors of AetherFlow 0.0.x: a sync class, created from its config in a worker thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from aetherflow import Connector, Resource, StepError, connector, connector_names, run_blocking

OPENING: ContextVar[Any] = ContextVar("aetherflow_core_opening", default=None)
"""The RunContext of the step that opens a connector at this moment; a ConnectorInit carries it."""

_CLASSES: dict[str, type[Any]] = {}


class ConnectorError(StepError, RuntimeError):
    """A connector failed; `retry_on: [connection]` selects it."""

    def __init__(self, *args: object) -> None:
        super().__init__(" ".join(map(str, args)), kind="connection")

    @classmethod
    def of(cls, error: StepError) -> Self:
        """Return the error of a connector of the new kind as this one; plugins of the old kind catch it."""
        made = cls(error.message)
        made.hint, made.code, made.kind, made.detail = error.hint, error.code, error.kind, error.detail
        return made


@dataclass(frozen=True)
class RemoteFileMeta:
    """Facts about a remote file; None if unknown."""

    rel_path: str | None = None
    path: str | None = None
    name: str | None = None
    is_dir: bool | None = False
    size: int | None = None
    mtime: float | None = None
    sha256: str | None = None


@dataclass
class ConnectorInit:
    """The arguments of an old connector; `ctx` is the context of the old step that opened it, if any."""

    name: str
    kind: str
    driver: str
    config: dict[str, Any]
    options: dict[str, Any]
    ctx: Any | None = None


class ConnectorBase:
    """Base of the connectors of the old kind."""

    name: str
    kind: str
    driver: str
    config: dict[str, Any]
    options: dict[str, Any]
    ctx: Any

    def __init__(self, init: ConnectorInit) -> None:
        vars(self).update(vars(init))

    def close(self) -> None:
        """Release what is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OldConnector(Connector):
    """Wraps a connector of the old kind for the engine, and passes on its attributes."""

    wrapped: ClassVar[type[Any]]

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Make it, in a worker thread."""
        ctx = OPENING.get() if resource.cache != "process" else None  # it outlives the run
        connection = await run_blocking(_create, cls.wrapped, resource, ctx)
        return cls(connection)

    async def aclose(self) -> None:
        """Close it, if it can be closed."""
        close = getattr(self.connection, "close", None)
        if callable(close):
            await run_blocking(close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def register_connector(kind: str, driver: str, cls: type[Any] | None = None) -> Any:
    """Register a class for `kind:driver`; without the class, return the decorator that does."""

    def register(cls: type[Any]) -> type[Any]:
        name = f"{kind}:{driver}"
        wrapper = type(cls.__name__, (OldConnector,), {"wrapped": cls, "__doc__": cls.__doc__})
        connector(name)(wrapper)
        _CLASSES[name] = cls
        return cls

    return register if cls is None else register(cls)


def get_connector(kind: str, driver: str) -> type[Any]:
    """Return the class that a plugin of the old kind registered.

    Raises:
        KeyError: there is none.
    """
    return _CLASSES[f"{kind}:{driver}"]


def list_connectors() -> list[str]:
    """Return the names `kind:driver` of all connectors."""
    return connector_names()


def _create(cls: type[Any], resource: Resource, ctx: Any) -> Any:
    """Make a connector in whichever of the three ways its class knows."""
    init = ConnectorInit(
        resource.name, resource.kind, resource.driver, dict(resource.config), dict(resource.options), ctx
    )
    made = _way(cls)(cls, init)
    for name in ("name", "kind", "driver", "config", "options"):
        if not hasattr(made, name):
            setattr(made, name, getattr(init, name))
    return made


def _way(cls: type[Any]) -> Callable[[type[Any], ConnectorInit], Any]:
    parameters = inspect.signature(cls).parameters
    if {"config", "options"} <= parameters.keys():
        return lambda cls, init: cls(config=init.config, options=init.options)
    match sum(one.default is one.empty for one in parameters.values()):
        case 0 if not parameters:
            return lambda cls, _init: cls()
        case 2:
            return lambda cls, init: cls(init.config, init.options)
        case _:
            return lambda cls, init: cls(init)
