"""A run as a worker sees it: its step types, its environment and its resources, from its package."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import msgspec

from aetherflow.config.environment import Environment
from aetherflow.config.settings import Settings
from aetherflow.errors import ConfigError
from aetherflow.redaction import Redactor
from aetherflow.registry import Registry
from aetherflow.runs.resolved_resource import resolved_resource
from aetherflow.runs.run_package import RunPackage
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.executor import Place
from aetherflow.sdk.step import StepType

Mark = Callable[[], Mapping[str, str]]
"""Returns the variables of a program so that it ends with the attempt that started it."""


class Types(Protocol):
    """The types of steps and connectors that a worker has: a `Registry`."""

    def step_type(self, name: str) -> StepType:
        """Return a step type; raises ConfigError if there is none of that name."""
        ...

    def step_version(self, name: str) -> str:
        """Return the version of a step type; empty if unknown."""
        ...

    def connector_class(self, name: str) -> type[Connector]:
        """Return the class of a connector `kind:driver`; raises ConfigError if there is none."""
        ...


class RunOnWorker(msgspec.Struct, frozen=True):
    """What the attempts of one run share on a worker.

    Attributes:
        place: the worker.
        types: the step types and connectors.
        environment: the variables of the run here, with the secrets provider of this worker.
        redactor: knows the secrets that were resolved here.
    """

    package: RunPackage
    place: Place
    types: Types
    environment: Environment
    redactor: Redactor

    def step_type(self, name: str, version: str) -> StepType:
        """Return a step type in the version that the engine has.

        Raises:
            ConfigError: there is none of that name here, or another version.
        """
        found = self.types.step_type(name)
        here = self.types.step_version(name)
        if version and here != version:
            raise ConfigError(
                f"the step type {name} has version {here or 'unknown'} on worker {self.place.worker} "
                f"({self.place.host}), but {version} in the engine",
                hint="install the same version on both, and restart the worker",
                code="AF806",
            )
        return found

    def resource(self, name: str, *, mark: Mark, warn: Callable[[str], None]) -> Resource:
        """Return a resource, resolved with the variables and the secrets of this worker; blocking.

        Raises:
            ConfigError: it is not declared, or cannot be resolved here.
        """
        spec = self.package.resources.get(name)
        if spec is None:
            names = ", ".join(self.package.resources) or "none"
            raise ConfigError(f"the flow has no resource {name!r}", hint=f"it has {names}", code="AF550")
        return resolved_resource(
            name,
            spec,
            self.environment,
            self.package.profiles,
            self.redactor,
            mark=mark,
            warn=warn,
            connector_class=self.types.connector_class,
        )


def open_run(package: RunPackage, place: Place, types: Types | None = None) -> RunOnWorker:
    """Return a run as this worker sees it; blocking: it reads the environment and the plugins.

    Args:
        package: what the engine says about it.
        place: this worker.
        types: the types of a test; by default those that are installed here, and in the plugin paths.

    Raises:
        ConfigError: a variable or the secrets provider cannot be used here.
    """
    redactor = Redactor()
    settings = Settings(
        state_root=Path(os.devnull),  # a worker has no state
        work_root=Path(os.devnull),
        plugin_strict=package.plugin_strict,
        strict_templates=package.strict_templates,
    )
    if types is None:
        types = Registry(
            [Path(path) for path in package.plugin_paths],
            strict=package.plugin_strict,
            redactor=redactor,
            own=[Path(path) for path in package.steps_folders],
        )
    variables = dict(os.environ) | package.variables
    redactor.add_named(variables)
    environment = Environment(MappingProxyType(variables), MappingProxyType({}), settings)
    return RunOnWorker(package, place, types, environment, redactor)
