"""Read the settings from the `AETHERFLOW_*` variables: typed values, each with its origin.

The environment wins over the project file, which wins over the `SETTINGS` of `AETHERFLOW_SETTINGS_MODULE`,
which wins over the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from aetherflow.config.user_code import load_module
from aetherflow.errors import ConfigError
from aetherflow.file_access import FileAccess
from aetherflow.spec.suggest import nearest
from aetherflow.working_directory import absolute
from aetherflow.written_path import UnclearPath, setting_path

PREFIX = "AETHERFLOW_"
DEFAULT = "default"
STATE_FILE = "aetherflow.sqlite"
ENVIRONMENT = "environment"
OTHER_VARIABLES = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("FLOW_ID", "RUN_ID", "JOB_ID", "STEP_ID", "IDEMPOTENCY_KEY", "OUTPUT_DIR", "PROCESS"),
        *("FLOW_DIR", "FLOW_FILE", "RUN_DATE", "SCHEDULED_AT", "OUTPUT"),
        *("LOCAL_ROOT_DIR", "ACTIVE_DIR", "CACHE_DIR"),
    )
)
"""No settings: variables that a run passes to its programs, or a bundle to its templates."""
PLACES = frozenset({"HOME", "XDG_STATE_HOME"})
"""No settings either: they decide where state lives when no setting does."""
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""How truth is written in settings and params, in upper or lower case."""
_CODE = "AF501"
_ALTERNATIVES = (frozenset({"profiles_file", "profiles_json"}), frozenset({"secrets_module", "secrets_path"}))
"""Settings that say the same in two ways: one in the environment replaces both of the project file."""


class Given(msgspec.Struct, frozen=True):
    """A setting of a project file, typed, and its place there."""

    value: Any
    origin: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting; the variable of `log_level` is `AETHERFLOW_LOG_LEVEL`, and so on.

    Attributes:
        state_root: where state lives; default: `$XDG_STATE_HOME/aetherflow`, or
            `~/.local/state/aetherflow`.
        work_root: where the files of runs live; default: `<state root>/work`.
        log_level: the least severe records that are logged; CRITICAL is the same as ERROR.
        log_format: lines for people, or JSON lines or CloudEvents on standard output.
        plugin_paths: folders and `.py` files with plugins, separated by commas.
        plugin_strict: `false`: a plugin file that cannot be loaded is a warning instead of an error.
        strict_templates: `false`: in steps and resources a missing value is an empty text and a warning.
        validate_env_strict: `true`: a missing variable is an error of `validate` instead of a warning.
        env_files_json: files whose variables are added to the environment of a run, as a JSON list.
        profiles_file: the file with the profiles of resources; not together with `AETHERFLOW_PROFILES_JSON`.
        profiles_json: the profiles themselves, as JSON.
        secrets_module: the secrets provider, a Python module; it wins over `AETHERFLOW_SECRETS_PATH`.
        secrets_path: the secrets provider, a Python file.
        settings_module: a module with `SETTINGS = {...}`; the environment wins over it.
        metrics_module: a module whose `METRICS` is called with the progress of runs.
        observers: who else gets the events of runs, separated by commas: `otel`, `openlineage`, or observers
            of installed packages.
        metrics_address: where a server serves metrics for Prometheus: a port of this machine, or HOST:PORT.
        metrics_textfile: the file to which one-shot runs add their metrics, for node_exporter's textfile
            collector.
        connector_cache_default: who shares an open connector: the steps of a run, all runs of a process,
            or nobody.
        connector_cache_disabled: `true`: connectors are never shared, even if resources say so.
        mode: `enterprise` restricts what flows may do.
        strict_sandbox: `false`: a relative path may leave its folder, with a warning.
        file_access: who may read what AetherFlow creates: `private` (the owner), or `group` (also the group).
        executor: where the steps of flows run that do not say it: `local`, in the process of the run, or the
            name of another executor, such as `dask`.
        executors_json: the options of executors where only the name is given, as JSON: `{"dask": {...}}`; it
            wins over `executors` of a project file.
        sources: for each setting "default", "environment", "settings module NAME", the place in a project
            file, or that of the snapshot.
    """

    state_root: Path
    work_root: Path
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["text", "json", "cloudevents"] = "text"
    plugin_paths: tuple[Path, ...] = ()
    plugin_strict: bool = True
    strict_templates: bool = True
    validate_env_strict: bool = False
    env_files_json: str | None = None
    profiles_file: Path | None = None
    profiles_json: str | None = None
    secrets_module: str | None = None
    secrets_path: Path | None = None
    settings_module: str | None = None
    metrics_module: str | None = None
    observers: tuple[str, ...] = ()
    metrics_address: str | None = None
    metrics_textfile: Path | None = None
    connector_cache_default: Literal["run", "process", "none"] = "run"
    connector_cache_disabled: bool = False
    mode: Literal["internal_fast", "enterprise"] = "internal_fast"
    strict_sandbox: bool = True
    file_access: FileAccess = "private"
    executor: str = "local"
    executors_json: str | None = None
    sources: dict[str, str] = {}

    @property
    def state_database(self) -> Path:
        """The state database of flows and scheduler files that name none; absolute."""
        return absolute(self.state_root / STATE_FILE)


def load_settings(
    env: Mapping[str, str],
    origins: Mapping[str, str] | None = None,
    project: Mapping[str, Given] | None = None,
) -> Settings:
    """Read the settings from an environment snapshot; an empty variable counts as not set.

    Args:
        env: the snapshot; `os.environ` is not read.
        origins: where a variable of the snapshot came from, if not from the environment of the process.
        project: the settings of the project file.

    Raises:
        ConfigError: a value is not allowed (all such values are named), or the settings module is unusable.
    """
    origins, project = origins or {}, dict(project or {})
    texts: dict[str, tuple[str, str]] = {}
    for name in _READERS:
        variable = PREFIX + name.upper()
        if text := env.get(variable, "").strip():
            texts[name] = (text, origins.get(variable, ENVIRONMENT))
    for name in {*texts, *(other for pair in _ALTERNATIVES if pair & texts.keys() for other in pair)}:
        project.pop(name, None)
    module = texts.get("settings_module", ("", ""))[0] or (
        project["settings_module"].value if "settings_module" in project else ""
    )
    if module:
        of_module = {name: (text, f"settings module {module}") for name, text in _from_module(module)}
        texts = {**{name: text for name, text in of_module.items() if name not in project}, **texts}
    home = Path(env["HOME"]) if env.get("HOME") else None
    values = _read(texts, home) | {name: given.value for name, given in project.items()}
    state_root = values.pop("state_root", None) or _default_state_root(env)
    work_root = values.pop("work_root", None) or state_root / "work"
    sources = dict.fromkeys(_READERS, DEFAULT)
    sources |= {name: source for name, (_, source) in texts.items()}
    sources |= {name: given.origin for name, given in project.items()}
    return Settings(state_root=state_root, work_root=work_root, **values, sources=sources)


def default_state_database(env: Mapping[str, str]) -> Path:
    """Return the state database of a user whose settings name no other.

    Raises:
        ConfigError: there is no home directory.
    """
    return absolute(_default_state_root(env) / STATE_FILE)


def with_absolute_settings(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return variables of a file in which the paths of settings are relative to the folder of that file."""
    found = dict(variables)
    for name, read in _READERS.items():
        variable = PREFIX + name.upper()
        text = found.get(variable, "").strip()
        if text and read in (_path, _paths):
            parts = [part.strip() for part in text.split(",")] if read is _paths else [text]
            found[variable] = ",".join(part if part[:1] in "~$" else str(folder / part) for part in parts)
    return found


def unknown_variables(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that look like settings but are none, each with the likely setting or ""."""
    known = {f"{PREFIX}{name.upper()}" for name in _READERS} | OTHER_VARIABLES
    given = [name for name in env if name.upper().startswith(PREFIX) and name not in known]
    unknown = []
    for name in sorted(given):
        meant = nearest(name[len(PREFIX) :], tuple(_READERS))  # the common prefix makes all of them alike
        unknown.append((name, f"{PREFIX}{meant.upper()}" if meant else ""))
    return unknown


def _read(texts: Mapping[str, tuple[str, str]], home: Path | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name, (text, source) in texts.items():
        try:
            values[name] = _READERS[name](text, home)
        except ValueError as error:
            place = "" if source == ENVIRONMENT else f" ({source})"
            errors.append(f"{PREFIX}{name.upper()} is {text!r}{place}; allowed: {error}")
    if errors:
        raise ConfigError("\n".join(errors), hint="set one of the allowed values, or unset it", code=_CODE)
    return values


def _default_state_root(env: Mapping[str, str]) -> Path:
    """Return where state lives by the XDG rules: a relative `XDG_STATE_HOME` is ignored."""
    state_home = Path(env.get("XDG_STATE_HOME", ""))
    if state_home.is_absolute():
        return state_home / "aetherflow"
    try:
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    except RuntimeError:
        message = "there is no home directory to keep the state in"
        raise ConfigError(message, hint=f"set {PREFIX}STATE_ROOT", code=_CODE) from None
    return absolute(home) / ".local" / "state" / "aetherflow"


def _from_module(module_name: str) -> list[tuple[str, str]]:
    """Return the settings of a user's module as texts, under their field names."""
    source = load_module(module_name, f"{PREFIX}SETTINGS_MODULE", _CODE)
    values = source.attribute("SETTINGS", _CODE)
    if not isinstance(values, dict):
        message = f"{source.origin}: there is no `SETTINGS` dictionary ({source.variable})"
        raise ConfigError(message, hint='write SETTINGS = {"log_level": "DEBUG"}', code=_CODE)
    texts = []
    for key, value in values.items():
        name = str(key).lower().removeprefix(PREFIX.lower())
        if name not in _READERS or name == "settings_module":
            meant = nearest(name, tuple(_READERS))
            hint = f"did you mean {meant!r}?" if meant else f"known: {', '.join(_READERS)}"
            message = f"{source.origin}: SETTINGS has an unknown key {str(key)!r} ({source.variable})"
            raise ConfigError(message, hint=hint, code=_CODE)
        if (text := _setting_text(value)).strip():
            texts.append((name, text.strip()))
    return texts


def _setting_text(value: object) -> str:
    """Return a value of the settings module as a variable would spell it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _text(text: str, _home: Path | None) -> str:
    return text


def _boolean(text: str, _home: Path | None) -> bool:
    if (value := TRUTH.get(text.lower())) is None:
        raise ValueError(", ".join(TRUTH))
    return value


def _path(text: str, home: Path | None) -> Path:
    """Return an absolute path, so that it means the same whatever the working directory becomes."""
    try:
        return setting_path(text, str(home or ""))
    except UnclearPath:
        raise ValueError(
            "a path; ~ or $HOME may begin it, but no other $NAME, and no ~ of an unknown user"
        ) from None


def _paths(text: str, home: Path | None) -> tuple[Path, ...]:
    return tuple(_path(part.strip(), home) for part in text.split(",") if part.strip())


def _names(text: str, _home: Path | None) -> tuple[str, ...]:
    """Return the names of a list, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _choice(*allowed: str) -> Callable[[str, Path | None], str]:
    spellings = {value.lower(): value for value in allowed}

    def read(text: str, _home: Path | None) -> str:
        if text.lower() not in spellings:
            raise ValueError(", ".join(allowed))
        return spellings[text.lower()]

    return read


_OF_TYPE: dict[Any, Callable[[str, Path | None], Any]] = {
    Path: _path,
    Path | None: _path,
    tuple[Path, ...]: _paths,
    tuple[str, ...]: _names,
    bool: _boolean,
    str: _text,
    str | None: _text,
}
_READERS: dict[str, Callable[[str, Path | None], Any]] = {
    field.name: _OF_TYPE.get(field.type) or _choice(*get_args(field.type))
    for field in msgspec.structs.fields(Settings)
    if field.name != "sources"
}
