"""Build the environment of a run: one immutable snapshot; `os.environ` is never changed.

What comes later wins: env files of the project in order, its `.env`, the process, `AETHERFLOW_ENV_FILES_JSON`
in order, env files of the bundle, and `expand_env()` of the secrets provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from aetherflow.config.env_files import ENV_FILES_VARIABLE, parse_env_files, read_env_file
from aetherflow.config.project import Project
from aetherflow.config.restrictions import ENTERPRISE, check_bundle_variables
from aetherflow.config.secrets_provider import SecretsProvider, load_secrets_provider
from aetherflow.config.settings import ENVIRONMENT, Given, Settings, load_settings, with_absolute_settings
from aetherflow.errors import ConfigError
from aetherflow.plugin_output import held_back
from aetherflow.redaction import Redactor
from aetherflow.spec.env_file import EnvFile

BUNDLE_ENV_FILE = "bundle env file "
"""How the origin of a variable begins that comes from an env file of a bundle; its path follows."""


class Environment(msgspec.Struct, frozen=True):
    """The environment of a run, with the origin of each variable and what was loaded with it.

    Attributes:
        variables: the snapshot itself, read only.
        origins: for each variable "environment", "env file PATH" or "expand_env of FILE".
        settings: the settings of the snapshot.
        secrets: the provider, loaded once; None if none is set.
        projects: the project files that were used; the last one wins.
    """

    variables: Mapping[str, str]
    origins: Mapping[str, str]
    settings: Settings
    secrets: SecretsProvider | None = None
    projects: tuple[Project, ...] = ()

    @property
    def steps_folders(self) -> tuple[Path, ...]:
        """Where the projects may have step types; nowhere in enterprise mode."""
        if self.settings.mode == ENTERPRISE:
            return ()
        return tuple(project.steps_folder for project in reversed(self.projects))


def load_environment(
    process_env: Mapping[str, str],
    *,
    project: Project | None = None,
    bundle_project: Project | None = None,
    directory: Path | None = None,
    bundle_env_files: Sequence[EnvFile] = (),
    bundle_directory: Path | None = None,
    bundle_variables: Mapping[str, str] | None = None,
    is_enterprise: bool = False,
    redactor: Redactor | None = None,
) -> Environment:
    """Build the snapshot of a run with its settings and its secrets provider.

    Args:
        process_env: the environment of the process, usually `os.environ`.
        project: the project file of this machine; the process wins over it.
        bundle_project: the project file inside the bundle; it wins over the one of this machine.
        directory: where relative paths of `AETHERFLOW_ENV_FILES_JSON` start; default: the working directory.
        bundle_env_files: the entries of the bundle's manifest.
        bundle_directory: where relative paths of those start; default: `directory`.
        bundle_variables: the variables that name the folders of the bundle; no env file changes them.
        is_enterprise: whether the manifest asks for enterprise mode.
        redactor: learns the values of all variables that are named like a secret.

    In enterprise mode, by this argument or by the environment, env files of a bundle change no setting.

    Raises:
        ConfigError: an env file, a setting or the secrets provider cannot be used.
        InvalidInput: `AETHERFLOW_ENV_FILES_JSON` is not a list of entries.
    """
    layers = _Layers(process_env)
    given = layers.add_project(project) if project else {}
    if text := layers.variables.get(ENV_FILES_VARIABLE, "").strip():
        for entry in parse_env_files(text):
            variables = read_env_file(entry, directory or Path(), layers.variables)
            layers.add(variables, origin_of_env_file(entry.path))
    mode = ENTERPRISE if is_enterprise else load_settings(layers.variables, layers.origins, given).mode
    if bundle_project is not None:
        from aetherflow.config.bundle_project import check_bundle_project  # noqa: PLC0415 - few runs have one

        check_bundle_project(bundle_project, mode)
        given |= layers.add_project(bundle_project, is_restricted=mode == ENTERPRISE)
    for entry in bundle_env_files:
        variables = read_env_file(entry, bundle_directory or directory or Path(), layers.variables)
        origin = f"{BUNDLE_ENV_FILE}{entry.path}"
        if mode == ENTERPRISE:
            check_bundle_variables(variables, origin)
        layers.add(variables, origin)
    layers.add(bundle_variables or {}, "bundle")
    redactor = redactor or Redactor()
    with held_back(redactor):  # what the provider prints may hold what it decodes
        secrets = load_secrets_provider(load_settings(layers.variables, layers.origins, given))
        if secrets is not None:
            layers.add(secrets.expand_env(layers.variables), f"expand_env of {secrets.source.origin}")
        redactor.add_named(layers.variables)
    settings = load_settings(layers.variables, layers.origins, given)
    if is_enterprise and settings.mode != ENTERPRISE:
        sources = settings.sources | {"mode": "bundle"}
        settings = msgspec.structs.replace(settings, mode="enterprise", sources=sources)
    return Environment(
        variables=MappingProxyType(layers.variables),
        origins=MappingProxyType(layers.origins),
        settings=settings,
        secrets=secrets,
        projects=tuple(one for one in (project, bundle_project) if one is not None),
    )


def origin_of_env_file(path: str, place: str = "") -> str:
    """Return the origin of the variables of an env file; `place` is where a project file names it."""
    return f"env file {path} ({place})" if place else f"env file {path}"


class _Layers:
    """Variables in layers, with the layer that each value came from."""

    def __init__(self, process_env: Mapping[str, str]) -> None:
        self.variables = dict(process_env)
        self.origins = dict.fromkeys(process_env, ENVIRONMENT)
        self._of_projects: set[str] = set()

    def add_project(self, project: Project, *, is_restricted: bool = False) -> dict[str, Given]:
        """Add the variables of a project's files, below all others; return its settings.

        Raises:
            ConfigError: a file cannot be used, or sets what a restricted one must not.
        """
        for entry, place in project.env_files():
            winning = {name: v for name, v in self.variables.items() if name not in self._of_projects}
            variables = read_env_file(entry, project.folder, self.variables, winning)
            origin = origin_of_env_file(entry.path, place)
            if is_restricted:
                check_bundle_variables(variables, origin)
            variables = with_absolute_settings(variables, project.folder)
            self.add({name: text for name, text in variables.items() if name not in winning}, origin)
            self._of_projects |= variables.keys() - winning.keys()
        return project.settings(self.variables.get("HOME", ""))

    def add(self, variables: Mapping[str, str], origin: str) -> None:
        """Add a layer of variables.

        Raises:
            ConfigError: a name or value that no process could be started with.
        """
        for name, value in variables.items():
            if not name or "=" in name or "\0" in name:
                raise ConfigError(f"{origin}: {name!r} cannot be the name of a variable", code="AF503")
            if "\0" in value:
                raise ConfigError(f"{origin}: the value of {name} has a NUL character", code="AF503")
        self.variables.update(variables)
        self.origins.update(dict.fromkeys(variables, origin))
