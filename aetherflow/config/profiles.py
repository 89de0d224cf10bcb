"""The profiles: the part of the resources that differs between places, from a file or from a variable."""

from __future__ import annotations

from aetherflow.config.settings import Settings
from aetherflow.errors import ConfigError
from aetherflow.spec.document import parse_document
from aetherflow.spec.flow import ProfileSpec
from aetherflow.spec.load import load_profiles

FILE_VARIABLE = "AETHERFLOW_PROFILES_FILE"
JSON_VARIABLE = "AETHERFLOW_PROFILES_JSON"


def configured_profiles(settings: Settings) -> dict[str, ProfileSpec] | None:
    """Return the profiles that the settings name, or None if they name none.

    Raises:
        ConfigError: both variables are set.
        InvalidInput: the profiles cannot be read, or are wrong; every finding with its place.
    """
    if settings.profiles_file and settings.profiles_json:
        message = f"{FILE_VARIABLE} and {JSON_VARIABLE} are both set ({_sources(settings)})"
        raise ConfigError(message, hint="unset one of them", code="AF502")
    if settings.profiles_json:
        return load_profiles(parse_document(settings.profiles_json, JSON_VARIABLE))
    if settings.profiles_file:
        return load_profiles(settings.profiles_file)
    return None


def _sources(settings: Settings) -> str:
    file, json = settings.sources["profiles_file"], settings.sources["profiles_json"]
    return f"by {file}" if file == json else f"by {file} and by {json}"
