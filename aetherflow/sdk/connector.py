"""What a connector is: something opened from a resource, used by steps, closed at the end."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, TypeVar

import msgspec

from aetherflow.sdk.checks import Check
from aetherflow.sdk.registration import declaration_error, declare

C = TypeVar("C", bound="type[Connector]")

_NAME = re.compile(r"[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+")
_CODE = "AF548"


CacheScope = Literal["run", "process", "none"]


class Resource(msgspec.Struct, frozen=True):
    """A resource of the flow, resolved: profile merged, templates rendered, secrets decoded.

    Attributes:
        cache: who shares its connector: the steps of a run, the runs of the process, or nobody.
    """

    name: str
    kind: str
    driver: str
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    cache: CacheScope = "run"


class Connector(abc.ABC):
    """Base of all connectors.

    A subclass names the Structs of its `config` and `options`; unknown keys in them are reported when the
    connector is opened. `open` may wait; blocking libraries are called through a worker thread.

    Attributes:
        packages: modules that `open` imports and that may not be installed; `doctor` looks for them.
    """

    config_type: ClassVar[type[Any]] = dict
    options_type: ClassVar[type[Any]] = dict
    packages: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abc.abstractmethod
    async def open(cls, resource: Resource) -> Self:
        """Connect.

        Raises:
            StepError: with kind "connection" when the other side does not answer or refuses.
        """

    async def check(self) -> list[Check]:
        """Say what works with the other side: login, rights, free space, the age of a certificate.

        `doctor --connect` asks after it has opened the connector; nothing may be changed there.

        Raises:
            StepError: it does not work at all; told like a failed check.
        """
        return [Check("connection", "ok", "it can be opened")]

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release everything; called once, also after a failed run."""


def connector(name: str) -> Callable[[C], C]:
    """Name a Connector class `kind:driver`, as flows spell it in `kind` and `driver`.

    Raises:
        ConfigError: what is decorated is no connector, or lacks a method (AF548), with its file and line.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        said = getattr(name, "__name__", repr(name))
        raise declaration_error(
            f"@connector is given kind:driver, not {said}", 'write: @connector("db:mine")', _CODE
        )

    def register(cls: C) -> C:
        given: Any = cls
        if not (isinstance(given, type) and issubclass(given, Connector)):
            said = getattr(given, "__name__", repr(given))
            message = f"connector {name!r}: {said} is no subclass of aetherflow.Connector"
            raise declaration_error(message, "write: class Mine(Connector): ...", _CODE)
        if missing := sorted(cls.__abstractmethods__):
            message = f"connector {name!r}: {cls.__name__} does not define {' and '.join(missing)}"
            raise declaration_error(message, f"write: async def {missing[0]}(...)", _CODE)
        declare("connector", name, cls)
        return cls

    return register
