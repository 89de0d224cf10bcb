"""Pack a run for the workers that perform its steps: what they need to know, without any secret.

Of the variables those travel that the files of the project or of the bundle set, and that hold no secret. The
environment of the engine's process stays here: a worker has its own. What is secret is looked up there by its
name: in the environment of the worker, in the same files, or with a secrets provider.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from aetherflow.config.env_files import ENV_FILES_VARIABLE, parse_env_files
from aetherflow.config.environment import Environment
from aetherflow.config.prepared_resource import prepare_resource
from aetherflow.config.profiles import JSON_VARIABLE
from aetherflow.config.resource_fields import FieldPath
from aetherflow.config.settings import ENVIRONMENT
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.ports import StepCall
from aetherflow.execution.secret_references import Concealer, SecretReferences
from aetherflow.plugins.plugin_files import version_of
from aetherflow.redaction import Redactor, names_a_secret
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_package import RunPackage, encoded
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.placed import (
    PlacedProfile,
    PlacedResource,
    folder_of_spec,
    placed_profile,
    placed_resource,
)
from aetherflow.working_directory import working_directory
from aetherflow.written_path import written_path

S = TypeVar("S", PlacedResource, PlacedProfile)


class PackedRun(msgspec.Struct, frozen=True):
    """A run as its workers get it.

    Attributes:
        id: the id of the package.
        text: the package, as JSON.
        concealer: replaces the secrets in the inputs of its steps.
    """

    id: str
    text: str
    concealer: Concealer

    def concealed(self, call: StepCall) -> StepCall:
        """Return a call without the secrets among its inputs, as it may be sent to a worker.

        Raises:
            SecretOnlyHere: an input holds a secret that no worker can know.
        """
        return replace(call, inputs=self.concealer.inputs(f"{call.job_id}.{call.step_id}", call.inputs))


def packed_run(checked: CheckedFlow, trace: RunTrace, *, scheduled_at: str, run_date: str) -> PackedRun:
    """Pack a run; blocking: it reads the files of plugins.

    Args:
        checked: the flow, as it is executed.
        trace: which run, and which execution of it.
        scheduled_at: the time for which it was scheduled, else when it started (RFC 3339, UTC).
        run_date: its date.
    """
    environment, redactor, registry = checked.environment, checked.redactor, checked.registry
    settings = environment.settings
    references = SecretReferences(os.urandom(16).hex())
    concealer = Concealer(references, environment.variables, redactor)
    encoded_in = {
        name: prepare_resource(name, spec, checked.profiles).decoded
        for name, spec in checked.plan.resources.items()
    }
    encoded_of_profile: dict[str | None, set[FieldPath]] = {}
    for name, spec in checked.plan.resources.items():
        encoded_of_profile.setdefault(spec.profile, set()).update(encoded_in[name])
    resources = {
        name: _without_secrets(_placed(spec), concealer, f"resource {name}", encoded_in[name])
        for name, spec in checked.plan.resources.items()
    }
    drivers = checked.restrictions.zip_drivers
    profiles = (
        None
        if checked.profiles is None
        else {
            name: _without_secrets(
                _placed_profile(spec), concealer, f"profile {name}", encoded_of_profile[name]
            )
            for name, spec in checked.profiles.items()
            if name in encoded_of_profile
        }
    )
    package = RunPackage(
        flow_id=trace.flow_id,
        run_id=trace.run_id,
        execution=trace.execution,
        scheduled_at=scheduled_at,
        run_date=run_date,
        place=checked.plan.place,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        nonce=references.nonce,
        variables=_open_variables(environment, redactor),
        secret_variables=sorted(_secret_variables(environment, redactor)),
        env_files=[*_env_files(environment)],
        secrets_module=settings.secrets_module or "",
        secrets_path=str(settings.secrets_path or ""),
        resources=resources,
        profiles=profiles,
        profiles_file=str(settings.profiles_file or ""),
        plugin_paths=[str(path) for path in registry.paths],
        steps_folders=[str(path) for path in registry.own],
        plugins={str(path): version_of(path) for path in (*registry.paths, *registry.own) if path.exists()},
        plugin_strict=registry.strict,
        strict_templates=settings.strict_templates,
        zip_drivers=None if drivers is None else sorted(drivers),
    )
    text = encoded(package)
    return PackedRun(blake2b(text.encode(), digest_size=16).hexdigest(), text, concealer)


def _of_files(environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield the variables that come neither from the process of the engine nor from the secrets provider."""
    provided = "" if environment.secrets is None else f"expand_env of {environment.secrets.source.origin}"
    for name, value in environment.variables.items():
        if (
            environment.origins.get(name, ENVIRONMENT) not in (ENVIRONMENT, provided)
            and name != JSON_VARIABLE
        ):
            yield name, value


def _open_variables(environment: Environment, redactor: Redactor) -> dict[str, str]:
    return {name: value for name, value in _of_files(environment) if not _is_secret(name, value, redactor)}


def _secret_variables(environment: Environment, redactor: Redactor) -> Iterator[str]:
    return (name for name, value in _of_files(environment) if _is_secret(name, value, redactor))


def _is_secret(name: str, value: str, redactor: Redactor) -> bool:
    return names_a_secret(name) or redactor.text(value) != value


def _env_files(environment: Environment) -> Iterator[EnvFile]:
    """Yield the env files of the run, the least important first, by absolute paths."""
    for project in environment.projects:
        for entry, _ in project.env_files():
            yield _absolute(entry, project.folder)
    if text := environment.variables.get(ENV_FILES_VARIABLE, "").strip():
        for entry in parse_env_files(text):
            yield _absolute(entry, working_directory())


def _absolute(entry: EnvFile, folder: Path) -> EnvFile:
    return replace(entry, path=str(written_path(entry.path, folder)), optional=True)


def _placed(spec: ResourceSpec) -> PlacedResource:
    return placed_resource(spec, folder_of_spec(spec) or working_directory())


def _placed_profile(spec: ProfileSpec) -> PlacedProfile:
    return placed_profile(spec, folder_of_spec(spec) or working_directory())


def _without_secrets(spec: S, concealer: Concealer, what: str, kept: Collection[FieldPath]) -> S:
    """Return a resource or a profile in which a secret that no worker knows is a reference to its place.

    Fields that go through `decode` stay as they are written: encoded.
    """
    concealed = concealer.written({"config": spec.config, "options": spec.options}, what, kept)
    return replace(spec, **concealed)
