"""Step and connector types by name. Nothing is imported before a flow names it.

What ships in this wheel is found in a table, without looking at the installed distributions; everything else
is found by its entry point (groups `aetherflow.steps` and `aetherflow.connectors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aetherflow._version import __version__
from aetherflow.engine.connector import Connector
from aetherflow.engine.step import StepType
from aetherflow.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

STEPS: Mapping[str, str] = {
    "check_items": "aetherflow.steps.check_items:check_items",
    "with_lock": "aetherflow.steps.with_lock:with_lock",
    "external.process": "aetherflow.steps.external_process:external_process",
    "db_extract": "aetherflow_db.extract:db_extract",
}
CONNECTORS: Mapping[str, str] = {
    "db:sqlalchemy": "aetherflow_db.sqlalchemy_connector:SqlAlchemyConnector",
    "db:sqlite3": "aetherflow_db.sqlite3_connector:Sqlite3Connector",
}
EXTRAS: Mapping[str, str] = {"aetherflow_db": "db"}
"""Which extra brings what a first-party plugin imports."""


def step_type(name: str) -> StepType:
    """Return a step type, imported now if it was not.

    Raises:
        ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
    """
    found = _load("step type", name, STEPS, "aetherflow.steps")
    if not isinstance(found, StepType):
        raise ConfigError(
            f"the step type {name!r} is registered, but what it names is a {type(found).__name__}",
            hint="decorate the function with @aetherflow.step(NAME)",
            code="AF541",
        )
    return found


def step_version(name: str) -> str:
    """Return the distribution of a step type and its version; empty where they are not known.

    Of AetherFlow itself only the first two numbers count: a repair does not make another step of one.
    """
    if name in STEPS:
        return f"aetherflow {'.'.join(__version__.split('.')[:2])}"
    found = _plugins("aetherflow.steps").get(name)
    if not found or found[0].dist is None:
        return ""
    return f"{found[0].dist.name} {found[0].dist.version}"


def connector_class(name: str) -> type[Connector]:
    """Return the class of a connector `kind:driver`, imported now if it was not.

    Raises:
        ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
    """
    found = _load("connector", name, CONNECTORS, "aetherflow.connectors")
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise ConfigError(
            f"the connector {name!r} is registered, but what it names is no subclass of aetherflow.Connector",
            code="AF541",
        )
    return found


def step_names() -> list[str]:
    """Return the names of all step types that are installed, sorted."""
    return sorted({*STEPS, *_plugins("aetherflow.steps")})


def connector_names() -> list[str]:
    """Return the names of all connectors that are installed, sorted."""
    return sorted({*CONNECTORS, *_plugins("aetherflow.connectors")})


def _load(what: str, name: str, shipped: Mapping[str, str], group: str) -> Any:
    """Return what a name is registered for.

    Raises:
        ConfigError: it is not known, known twice, or cannot be imported; a broken plugin is named.
    """
    source = ""
    module_name, _, attributes = shipped.get(name, "").partition(":")
    if not module_name:
        found = _plugins(group).get(name)
        if not found:
            raise _unknown(what, name, [*shipped, *_plugins(group)])
        if len({plugin.value for plugin in found}) > 1:
            several = " and ".join(sorted(_distribution(plugin) for plugin in found))
            raise ConfigError(
                f"the {what} {name!r} is registered more than once: by {several}",
                hint="uninstall all but one of them",
                code="AF546",
            )
        source = f" of {_distribution(found[0])}"
        module_name, attributes = found[0].module, found[0].attr
    try:
        module = import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a plugin may do anything when it is imported; it is named
        raise _not_imported(f"the {what} {name!r}{source}", module_name, error) from None
    try:
        return attrgetter(attributes)(module)
    except AttributeError:
        message = f"the {what} {name!r}{source}: {module_name} has no {attributes!r}"
        raise ConfigError(message, code="AF542") from None


def _not_imported(named: str, module_name: str, error: Exception) -> ConfigError:
    package = module_name.partition(".")[0]
    missing = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if missing and missing != package and package in EXTRAS:
        return MissingExtra(
            f"{named} needs the package {missing!r}, which is not installed",
            hint=f"pip install 'aetherflow[{EXTRAS[package]}]'",
        )
    return ConfigError(
        f"{named} cannot be imported from {module_name}: {type(error).__name__}: {error}",
        hint="install what it needs, or repair or uninstall the plugin",
        code="AF542",
    )


@cache
def _plugins(group: str) -> dict[str, list[EntryPoint]]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads every installed distribution: on a miss only

    plugins: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        plugins.setdefault(entry.name, []).append(entry)
    return plugins


def _distribution(plugin: EntryPoint) -> str:
    return plugin.dist.name if plugin.dist else plugin.value


def _unknown(what: str, name: str, known: list[str]) -> ConfigError:
    from aetherflow.spec.suggest import did_you_mean  # noqa: PLC0415 - only an error needs it

    hint = did_you_mean(name, known) or f"installed: {', '.join(sorted(set(known)))}"
    return ConfigError(f"unknown {what} {name!r}", hint=hint, code="AF540")
