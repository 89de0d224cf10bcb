"""A run as a worker sees it: its step types, its environment and its resources, from its package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from aetherflow.config.environment import Environment
from aetherflow.config.prepared_resource import (
    PreparedResource,
    known_secrets,
    missing_references,
    prepare_resource,
    variable_name,
)
from aetherflow.config.profiles import configured_profiles
from aetherflow.errors import ConfigError
from aetherflow.execution.secret_references import SecretReferences
from aetherflow.plugins.plugin_files import version_of
from aetherflow.redaction import Redactor
from aetherflow.registry import Registry
from aetherflow.runs.resolved_resource import resolved_resource
from aetherflow.runs.run_package import RunPackage
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.executor import Place
from aetherflow.sdk.step import FOLLOW_UP, StepType
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.worker.environment_here import environment_here

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


class ReadyResource(msgspec.Struct, frozen=True):
    """A resource and its profile as they are written, with the secrets of this worker in place."""

    spec: ResourceSpec
    profiles: Mapping[str, ProfileSpec] | None
    prepared: PreparedResource


class RunOnWorker(msgspec.Struct, frozen=True):
    """What the attempts of one run share on a worker.

    Attributes:
        place: the worker.
        types: the step types and connectors.
        environment: the variables of the run here, with the secrets provider of this worker.
        redactor: knows the secrets that were resolved here.
        profiles: those of the run; what is secret in them is from here.
    """

    package: RunPackage
    place: Place
    types: Types
    environment: Environment
    redactor: Redactor
    profiles: Mapping[str, ProfileSpec] | None

    def step_type(self, name: str, version: str) -> StepType:
        """Return a step type in the version that the engine has.

        Raises:
            ConfigError: there is none of that name here, or another version.
        """
        found = self.types.step_type(name)
        here = self.types.step_version(
            name.removesuffix(FOLLOW_UP)
        )  # one that follows has no version of its own
        if version and here != version:
            raise ConfigError(
                f"the step type {name} has version {here or 'unknown'}, but {version} in the engine",
                hint="install the same version on both, and restart the worker",
                code="AF806",
            )
        return found

    def revealed(self, value: Any) -> Any:
        """Return data of the engine with the secrets that it refers to.

        Raises:
            ConfigError: this worker has no value for one, or nobody but the engine has.
        """
        references = SecretReferences(self.package.nonce)
        self._check_set(references.names_in(value))
        return references.reveal(value, self.environment.variables.__getitem__)

    def prepared(self, name: str) -> ReadyResource:
        """Return a resource with what it refers to here, as far as it is known without fetching anything.

        Raises:
            ConfigError: it is not declared, or this worker lacks a value that it refers to.
        """
        spec = self.package.resources.get(name)
        if spec is None:
            names = ", ".join(self.package.resources) or "none"
            raise ConfigError(f"the flow has no resource {name!r}", hint=f"it has {names}", code="AF550")
        spec = replace(spec, config=self.revealed(spec.config), options=self.revealed(spec.options))
        profiles = self.profiles
        if profiles and spec.profile and spec.profile in profiles:
            used = profiles[spec.profile]
            revealed = replace(used, config=self.revealed(used.config), options=self.revealed(used.options))
            profiles = {spec.profile: revealed}
        prepared = prepare_resource(name, spec, profiles)
        env = self.environment.variables
        if self.package.strict_templates:
            self._check_set(variable_name(one) for one in missing_references(prepared, env))
        if prepared.decoded and self.environment.secrets is None and self.package.secrets_path:
            raise ConfigError(
                f"resource {name!r} has fields to decode, and the secrets provider of the run, "
                f"{self.package.secrets_path}, is not there",
                hint="put it there, or set AETHERFLOW_SECRETS_PATH in the environment of the workers",
                code="AF808",
            )
        secrets = known_secrets(prepared, env).values()
        self._check_set(one.name for one in secrets if one.provider == "env")
        return ReadyResource(spec, profiles, prepared)

    def resource(self, name: str, *, mark: Mark, warn: Callable[[str], None]) -> Resource:
        """Return a resource, resolved with the variables and the secrets of this worker; blocking.

        Raises:
            ConfigError: it is not declared, or cannot be resolved here.
        """
        ready = self.prepared(name)
        return resolved_resource(
            name,
            ready.spec,
            self.environment,
            ready.profiles,
            self.redactor,
            mark=mark,
            warn=warn,
            connector_class=self.types.connector_class,
        )

    def _check_set(self, names: Iterable[str]) -> None:
        """Check that these variables have a value here.

        Raises:
            ConfigError: one has none; it names the variable and this worker.
        """
        missing = [name for name in dict.fromkeys(names) if not self.environment.variables.get(name)]
        if not missing:
            return
        if places := [name for name in missing if ":" in name]:  # no variable is called so
            raise ConfigError(
                f"{places[0]} holds a secret that is written there, which no worker gets",
                hint="put it into a variable that the workers have too and write {{env.NAME}}, or run the "
                "step with executor: local",
                code="AF807",
            )
        several = len(missing) > 1
        raise ConfigError(
            f"the variable{'s' if several else ''} {', '.join(missing)} {'are' if several else 'is'} not set",
            hint="set it in the environment of the workers, or in an env file that they see too; secrets and "
            "the environment of the engine are not sent to workers",
            code="AF805",
        )


def open_run(
    package: RunPackage, place: Place, types: Types | None = None, own: Mapping[str, str] | None = None
) -> RunOnWorker:
    """Return a run as this worker sees it; blocking: it reads the environment and the plugins.

    Args:
        package: what the engine says about it.
        place: this worker.
        types: the types of a test; by default those that are installed here, and in the plugin paths.
        own: the environment of this worker; by default that of the process.

    Raises:
        ConfigError: a variable, a plugin path or the secrets provider cannot be used here.
    """
    redactor = Redactor()
    environment = environment_here(package, os.environ if own is None else own, redactor)
    if types is None:
        _check_plugins(package)
        types = Registry(
            [Path(path) for path in package.plugin_paths],
            strict=package.plugin_strict,
            redactor=redactor,
            own=[Path(path) for path in package.steps_folders],
        )
    profiles = _profiles(package, environment)
    return RunOnWorker(package, place, types, environment, redactor, profiles)


def _check_plugins(package: RunPackage) -> None:
    """Check that the plugin paths have the same files here.

    Raises:
        ConfigError: one has other ones.
    """
    for path, version in package.plugins.items():
        here = version_of(Path(path))
        if here != version:
            what = "differs from that of the engine" if here else "is not there"
            raise ConfigError(
                f"the plugin path {path} {what}",
                hint="let the workers see the same folder, or copy it to them, and restart them",
                code="AF806",
            )


def _profiles(package: RunPackage, environment: Environment) -> Mapping[str, ProfileSpec] | None:
    """Return the profiles of the run; one that holds a secret is read here, if this worker can do so.

    Raises:
        ConfigError: the profiles of this worker cannot be used.
    """
    if package.profiles is None:
        return None
    references, settings = SecretReferences(package.nonce), environment.settings
    needed = {
        name
        for name, spec in package.profiles.items()
        if any(references.names_in([spec.config, spec.options]))
    }
    if not needed:
        return package.profiles
    if not (settings.profiles_file or settings.profiles_json) and Path(package.profiles_file).is_file():
        settings = replace(settings, profiles_file=Path(package.profiles_file))
    own = configured_profiles(settings) or {}
    return {**package.profiles, **{name: spec for name, spec in own.items() if name in needed}}
