"""The environment of a run on a worker: the worker's own, what the run brings, and the secrets found here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from aetherflow.config.env_files import read_env_file
from aetherflow.config.environment import Environment
from aetherflow.config.secrets_provider import SecretsProvider, load_secrets_provider
from aetherflow.config.settings import Settings, load_settings
from aetherflow.plugin_output import held_back
from aetherflow.redaction import Redactor
from aetherflow.runs.run_package import RunPackage


def environment_here(package: RunPackage, own: Mapping[str, str], redactor: Redactor) -> Environment:
    """Return the environment of a run on this worker; blocking.

    What comes later wins: the worker's own environment, the variables of the run, its secret ones from env
    files that this worker sees too, and `expand_env()` of the secrets provider.

    Args:
        package: what the engine says of the run.
        own: the environment of this process.
        redactor: learns the values of all variables that are named like a secret.

    Raises:
        ConfigError: an env file, a setting or the secrets provider cannot be used here.
    """
    variables = dict(own) | package.variables
    for entry in package.env_files:
        if Path(entry.path).exists():
            found = read_env_file(entry, Path("/"), variables)
            variables |= {name: value for name, value in found.items() if name in package.secret_variables}
    settings = _settings(package, own)
    with held_back(redactor):  # what the provider prints may hold what it decodes
        provider = _provider(package, settings)
        if provider is not None:
            variables |= provider.expand_env(variables)
        redactor.add_named(variables)
    return Environment(MappingProxyType(variables), MappingProxyType({}), settings, provider)


def _settings(package: RunPackage, own: Mapping[str, str]) -> Settings:
    """Return the settings that count here: those of the run, and where this worker finds secrets."""
    return replace(
        load_settings(own),
        strict_templates=package.strict_templates,
        plugin_strict=package.plugin_strict,
        connector_cache_default="none",
        connector_cache_disabled=False,
    )


def _provider(package: RunPackage, settings: Settings) -> SecretsProvider | None:
    """Return the provider of this worker; if its own environment names none, that of the run, if it is here.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if settings.secrets_module or settings.secrets_path:
        return load_secrets_provider(settings)
    if package.secrets_module:
        return load_secrets_provider(replace(settings, secrets_module=package.secrets_module))
    path = Path(package.secrets_path)
    if package.secrets_path and path.exists():
        return load_secrets_provider(replace(settings, secrets_path=path))
    return None
