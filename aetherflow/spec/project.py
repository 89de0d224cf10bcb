"""The project file `aetherflow.yaml` as frozen Structs: the keys a user may write (manual, projects)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from aetherflow.file_access import FileAccess
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.flow import PositiveSeconds, RetrySpec, WorkspaceSpec

PROJECT_FILE = "aetherflow.yaml"
STEPS_FOLDER = "steps"
"""The folder beside the project file whose Python files may have step types and connectors."""

MOVED = {
    "plugin_paths": "plugin_paths: [FOLDER]",
    "profiles_file": "profiles: FILE",
    "profiles_json": "profiles: FILE",
    "env_files_json": "env_files: [FILE]",
    "executors_json": "executors: {NAME: {OPTIONS}}",
}
"""Settings that are keys of the file itself, and how they are written there."""

Text = Annotated[str, Meta(min_length=1)]


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; `called` is how a message names it."""

    called: ClassVar[str] = "this mapping"


class ProjectSettings(_Spec, frozen=True):
    """`settings`: those of `aetherflow help settings`, without AETHERFLOW_ and in small letters.

    Attributes:
        state_root: where state lives.
        work_root: where the files of runs live.
        log_level: the least severe records that are logged.
        log_format: lines for people, or JSON lines or CloudEvents on standard output.
        plugin_strict: whether a plugin file that cannot be loaded is an error.
        strict_templates: whether a missing value is an error.
        validate_env_strict: whether a missing variable is an error of validate.
        secrets_module: the secrets provider, a Python module.
        secrets_path: the secrets provider, a Python file.
        settings_module: a module with more settings; this file wins over it.
        metrics_module: a module whose METRICS is called with the progress of runs.
        observers: who else gets the events of runs.
        metrics_address: where a server serves metrics for Prometheus, a port or HOST:PORT.
        metrics_textfile: the file to which one-shot runs add their metrics.
        connector_cache_default: who shares an open connector.
        connector_cache_disabled: whether connectors are never shared.
        mode: enterprise restricts what flows may do.
        strict_sandbox: whether a relative path must stay in its folder.
        file_access: who may read what AetherFlow creates.
        executor: where the steps of flows run that do not say it.
    """

    called = "'settings'"

    state_root: Text | None = None
    work_root: Text | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = None
    log_format: Literal["text", "json", "cloudevents"] | None = None
    plugin_strict: bool | None = None
    strict_templates: bool | None = None
    validate_env_strict: bool | None = None
    secrets_module: Text | None = None
    secrets_path: Text | None = None
    settings_module: Text | None = None
    metrics_module: Text | None = None
    observers: list[Text] | None = None
    metrics_address: Text | None = None
    metrics_textfile: Text | None = None
    connector_cache_default: Literal["run", "process", "none"] | None = None
    connector_cache_disabled: bool | None = None
    mode: Literal["internal_fast", "enterprise"] | None = None
    strict_sandbox: bool | None = None
    file_access: FileAccess | None = None
    executor: Text | None = None


class DefaultsSpec(_Spec, frozen=True):
    """`defaults`: keys of `flow:` for the flows that do not have them.

    Attributes:
        retry: the default of all steps.
        timeout_seconds: how long a run may take.
        workspace: where the files of a run live, key by key; `root` is relative to this file.
        timezone: the zone of the run's dates, an IANA name; it wins over that of a schedule item.
    """

    called = "'defaults'"

    retry: RetrySpec | None = None
    timeout_seconds: PositiveSeconds | None = None
    workspace: WorkspaceSpec | None = None
    timezone: Text | None = None


class ProjectFile(_Spec, frozen=True):
    """The whole file; its paths are relative to it.

    Attributes:
        version: the version of this format.
        settings: settings, unless the environment has them.
        profiles: the file with the profiles of resources.
        env_files: files of variables; the environment wins over them, a later file over an earlier one.
        plugin_paths: folders and .py files with plugins.
        dotenv: true reads .env beside this file, if there is one; or the path of such a file.
        defaults: keys of `flow:` for the flows that do not have them.
        executors: the options of executors, by name, where a flow or a setting gives only the name.
    """

    called = "the project file"

    version: Literal[1]
    settings: ProjectSettings = ProjectSettings()
    profiles: Text | None = None
    env_files: list[Text | EnvFile] = []
    plugin_paths: list[Text] = []
    dotenv: bool | Text = False
    defaults: DefaultsSpec = DefaultsSpec()
    executors: dict[str, dict[str, Any] | None] = {}
