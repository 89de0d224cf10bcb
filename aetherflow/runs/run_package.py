"""What a worker needs to know of a run, as data: sent once to each worker, used by all attempts there.

It has no value that is secret. Those that a worker needs it takes from its own environment, from files that
it can read, or from a secrets provider.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.flow_place import FlowPlace
from aetherflow.spec.placed import PlacedProfile, PlacedResource


class RunPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all attempts of a run have in common.

    Attributes:
        scheduled_at: the time for which the run was scheduled, else when it started (RFC 3339, UTC).
        run_date: its date in the zone of the run.
        place: where the flow file is; on a worker it need not exist.
        traceparent: the span in which the run began; empty: none.
        execution: how many times the run has been started or resumed, including now.
        nonce: how references to secrets begin, see `execution.secret_references`.
        variables: those of the run that are not secret, and that do not come from the process of the engine.
        secret_variables: the names of those of env files that are secret.
        env_files: these files, which a worker reads if it sees them too; by absolute paths.
        secrets_module: the secrets provider of the run; a worker may have one of its own.
        secrets_path: likewise.
        resources: as they are written, not resolved.
        profiles: likewise; None: the run has none.
        profiles_file: where they are written.
        plugin_paths: where step types and connectors are that are not installed.
        steps_folders: where the project has step types.
        plugins: the version of each of these paths, a hash of its files.
        zip_drivers: the archive drivers that enterprise mode allows; None: it is off.
    """

    flow_id: str
    run_id: str
    scheduled_at: str = ""
    run_date: str = ""
    place: FlowPlace = FlowPlace()
    traceparent: str = ""
    tracestate: str = ""
    execution: int = 1
    nonce: str = ""
    variables: dict[str, str] = {}
    secret_variables: list[str] = []
    env_files: list[EnvFile] = []
    secrets_module: str = ""
    secrets_path: str = ""
    resources: dict[str, PlacedResource] = {}
    profiles: dict[str, PlacedProfile] | None = None
    profiles_file: str = ""
    plugin_paths: list[str] = []
    steps_folders: list[str] = []
    plugins: dict[str, str] = {}
    plugin_strict: bool = True
    strict_templates: bool = True
    zip_drivers: list[str] | None = None


def encoded(package: RunPackage) -> str:
    """Return a package as JSON text."""
    return msgspec.json.encode(package, enc_hook=_plain).decode()


def decoded(text: str) -> RunPackage:
    """Return the package that a JSON text holds.

    Raises:
        msgspec.ValidationError: it holds none.
    """
    return msgspec.json.decode(text, type=RunPackage, dec_hook=_typed)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _typed(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
