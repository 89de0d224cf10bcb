"""What a connector is: something opened once per run from a resource, used by steps, closed at the end."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import msgspec

C = TypeVar("C", bound="type[Connector]")


class Resource(msgspec.Struct, frozen=True):
    """A resource of the flow, resolved: profile merged, templates rendered, secrets decoded."""

    name: str
    kind: str
    driver: str
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}


class Connector(abc.ABC):
    """Base of all connectors.

    A subclass names the Structs of its `config` and `options`; unknown keys in them are reported when the
    connector is opened. `open` may wait; blocking libraries are called through a worker thread.
    """

    config_type: ClassVar[type[Any]] = dict
    options_type: ClassVar[type[Any]] = dict

    @classmethod
    @abc.abstractmethod
    async def open(cls, resource: Resource) -> Self:
        """Connect.

        Raises:
            StepError: with kind "connection" when the other side does not answer or refuses.
        """

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release everything; called once, also after a failed run."""


class ConnectorType(msgspec.Struct, frozen=True):
    """A registered connector: `kind:driver` and the class behind it."""

    name: str
    connector: type[Connector]
    summary: str = ""


def connector(name: str) -> Callable[[C], C]:
    """Name a Connector class `kind:driver`, as flows spell it in `kind` and `driver`."""

    def register(cls: C) -> C:
        cls.connector_name = name  # type: ignore[attr-defined]  # read by the registry only
        return cls

    return register
