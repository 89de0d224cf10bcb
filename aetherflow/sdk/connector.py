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
from aetherflow.spec.convert import convert_values
from aetherflow.spec.suggest import did_you_mean

C = TypeVar("C", bound="type[Connector]")
S = TypeVar("S", bound=msgspec.Struct)

_NAME = re.compile(r"[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+")
_CODE = "AF548"
_UNKNOWN = re.compile(r"unknown field `(.*)`")


AbsolutePath = Callable[[str, str], str]
"""Returns the absolute path for a key of a resource's config and the path that it has."""

CacheScope = Literal["run", "process", "none"]


class Resource(msgspec.Struct, frozen=True):
    """A resource of the flow, resolved: profile merged, templates rendered, secrets decoded.

    Attributes:
        cache: which steps share its connector: those of a run, those of all runs of the process, or none.
    """

    name: str
    kind: str
    driver: str
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    cache: CacheScope = "run"

    def config_as(self, shape: type[S]) -> S:
        """Convert `config` to a Struct; numbers and booleans may be texts, and texts numbers.

        Unlike `msgspec.convert`, this is safe when two threads convert to the same new type at once.

        Raises:
            ConfigError: a key is unknown or missing, or a value does not fit; the message says which.
        """
        return self._as("config", self.config, shape)

    def options_as(self, shape: type[S]) -> S:
        """Convert `options` to a Struct, as `config_as` converts `config`.

        Raises:
            ConfigError: as for `config_as`.
        """
        return self._as("options", self.options, shape)

    def _as(self, part: str, values: dict[str, Any], shape: type[S]) -> S:
        try:
            return convert_values(values, shape)
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

    `open` converts the resource to Structs with `resource.config_as` and `options_as`. Call a blocking
    library with `aetherflow.run_blocking`.

    Attributes:
        config_type: the Struct of `config`, for checks and the documentation.
        options_type: the Struct of `options`, for checks and the documentation.
        path_keys: the keys of `config` that are paths on this machine; they become absolute before `open`.
        packages: optional modules that `open` imports; `doctor` checks that they are installed.
        restricted_by: the key of a bundle manifest that lists the drivers that enterprise mode allows;
            empty: all drivers are allowed.
        cautions: sentences about an open connector that every run has to show once, as warnings: what it
            does not check.
    """

    config_type: ClassVar[type[Any]] = dict
    options_type: ClassVar[type[Any]] = dict
    path_keys: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    restricted_by: ClassVar[Literal["", "zip_drivers"]] = ""
    cautions: tuple[str, ...] = ()

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: AbsolutePath) -> dict[str, Any]:
        """Return the resolved config with the paths of `path_keys` made absolute.

        A connector whose keys are not plain paths (a URL, `:memory:`) overrides it.

        Args:
            config: as `Resource.config` will be.
            absolute: returns the absolute path for a key and the path that it has: a relative one starts at
                the folder of the file that has the key, `~` is a home folder.
        """
        paths = {key: config[key] for key in cls.path_keys if isinstance(config.get(key), str)}
        return {**config, **{key: absolute(key, path) for key, path in paths.items()}}

    @classmethod
    @abc.abstractmethod
    async def open(cls, resource: Resource) -> Self:
        """Open the connector: connect, log in.

        Raises:
            StepError: the server does not answer or refuses the connection (kind "connection").
        """

    async def check(self) -> list[CheckResult]:
        """Check the open connection: login, permissions, free space, the age of a certificate.

        `doctor --connect` calls it after `open`; it must not change anything on the server.

        Raises:
            StepError: the connection does not work; shown as a failed check.
        """
        return [CheckResult("connection", "ok", "it can be opened")]

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release everything; called once, also after a failed run."""


def connector(name: str) -> Callable[[C], C]:
    """Register a Connector class as `kind:driver`, the values of `kind` and `driver` in a flow.

    Raises:
        ConfigError: the class is not a connector, or lacks a method (AF548); the message has its file and
            line.
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
