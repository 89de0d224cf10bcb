"""Connectors: opened from a resource, used by steps, closed at the end of the run."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, TypeVar

import msgspec

from aetherflow.errors import ConfigError
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.registration import declaration_error, declare
from aetherflow.spec.convert import convert
from aetherflow.spec.suggest import did_you_mean

C = TypeVar("C", bound="type[Connector]")
S = TypeVar("S", bound=msgspec.Struct)

_NAME = re.compile(r"[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+")
_CODE = "AF548"
_UNKNOWN = re.compile(r"unknown field `(.*)`")


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

    def config_as(self, shape: type[S]) -> S:
        """Return `config` as the Struct that describes it; numbers and booleans may be written as text.

        Safe in any thread: plain `msgspec.convert` is not (two threads that convert to a new type together).

        Raises:
            ConfigError: an unknown or missing key, or a value that does not fit, with its place.
        """
        return self._as("config", self.config, shape)

    def options_as(self, shape: type[S]) -> S:
        """Return `options` as the Struct that describes them, as `config_as` does.

        Raises:
            ConfigError: as `config_as`.
        """
        return self._as("options", self.options, shape)

    def _as(self, part: str, values: dict[str, Any], shape: type[S]) -> S:
        try:
            return convert(values, shape, strict=False)
        except msgspec.ValidationError as error:
            said, _, place = str(error).partition(" - at `$")
            unknown = _UNKNOWN.search(said)
            known = shape.__struct_encode_fields__
            hint = did_you_mean(unknown[1], known) if unknown and not place else ""
            raise ConfigError(
                f"resource {self.name!r} ({self.kind}:{self.driver}), {part}{place[:-1]}: {said}",
                hint=hint or f"its {part} may have: {', '.join(known)}",
            ) from None


class Connector(abc.ABC):
    """Base of all connectors.

    A subclass names the Structs of its `config` and `options`, which `open` reads by `resource.config_as` and
    `options_as`. `open` may wait; blocking libraries are called by `aetherflow.run_blocking`.

    Attributes:
        restricted_by: the key of a manifest that lists the drivers of this kind that enterprise mode allows;
            empty: all drivers may be used.
        packages: modules that `open` imports and that may not be installed; `doctor` looks for them.
    """

    config_type: ClassVar[type[Any]] = dict
    options_type: ClassVar[type[Any]] = dict
    packages: ClassVar[tuple[str, ...]] = ()
    restricted_by: ClassVar[Literal["", "zip_drivers"]] = ""

    @classmethod
    @abc.abstractmethod
    async def open(cls, resource: Resource) -> Self:
        """Connect.

        Raises:
            StepError: with kind "connection" when the other side does not answer or refuses.
        """

    async def check(self) -> list[CheckResult]:
        """Check what works with the other side: login, rights, free space, the age of a certificate.

        `doctor --connect` calls it after it has opened the connector; nothing may be changed there.

        Raises:
            StepError: it does not work at all; shown like a failed check.
        """
        return [CheckResult("connection", "ok", "it can be opened")]

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
