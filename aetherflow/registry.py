"""Step and connector types by name. Nothing is imported before a flow names it.

What ships in this wheel is found in a table, without looking at the installed distributions; everything else
is found by its entry point (groups `aetherflow.steps` and `aetherflow.connectors`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from aetherflow.engine.connector import Connector
from aetherflow.engine.step import StepType
from aetherflow.errors import ConfigError, MissingExtra

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
    target = shipped.get(name)
    if target is None:
        plugin = _plugins(group).get(name)
        if plugin is None:
            raise _unknown(what, name, [*shipped, *_plugins(group)])
        target = plugin.value
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module_name), attribute)
    except ImportError as error:
        extra = EXTRAS.get(module_name.partition(".")[0])
        if extra and error.name and not error.name.startswith(module_name):
            raise MissingExtra(
                f"the {what} {name!r} needs the package {error.name!r}, which is not installed",
                hint=f"pip install 'aetherflow[{extra}]'",
            ) from None
        raise ConfigError(
            f"the {what} {name!r} cannot be imported from {target}: {error}", code="AF542"
        ) from None
    except AttributeError:
        raise ConfigError(f"the {what} {name!r}: {module_name} has no {attribute!r}", code="AF542") from None


@cache
def _plugins(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def _unknown(what: str, name: str, known: list[str]) -> ConfigError:
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"installed: {', '.join(sorted(known))}"
    return ConfigError(f"unknown {what} {name!r}", hint=hint, code="AF540")
