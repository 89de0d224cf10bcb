"""Load profiles (the parts of resources that differ between installations) from a file or a variable."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aetherflow.config.settings import Settings
from aetherflow.config.written_resources import ShapesOf, written_profiles
from aetherflow.errors import ConfigError, InvalidInput
from aetherflow.spec.document import Document, parse_document, read_document
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.load import load_profiles
from aetherflow.spec.placed import placed_profile
from aetherflow.written_path import folder_of

FILE_VARIABLE = "AETHERFLOW_PROFILES_FILE"
JSON_VARIABLE = "AETHERFLOW_PROFILES_JSON"


def configured_profiles(
    settings: Settings, resources: Iterable[ResourceSpec] = (), shapes_of: ShapesOf = lambda _: {}
) -> dict[str, ProfileSpec] | None:
    """Return the profiles that the settings name, or None if they name none.

    Their fields are as the connectors of the resources that use them want them.

    Raises:
        ConfigError: both variables are set.
        InvalidInput: the profiles cannot be read, or are wrong; every diagnostic with its place.
    """
    if settings.profiles_file and settings.profiles_json:
        message = f"{FILE_VARIABLE} and {JSON_VARIABLE} are both set ({_sources(settings)})"
        raise ConfigError(message, hint="unset one of them", code="AF502")
    if settings.profiles_json:
        document, folder = parse_document(settings.profiles_json, JSON_VARIABLE), None
    elif settings.profiles_file:
        document, folder = read_document(settings.profiles_file), folder_of(settings.profiles_file)
    else:
        return None
    loaded = _load(document)
    if folder is not None:
        loaded = {name: placed_profile(profile, folder) for name, profile in loaded.items()}
    return written_profiles(loaded, resources, shapes_of, document.written)


def _load(document: Document) -> dict[str, ProfileSpec]:
    """Load the profiles; a diagnostic never repeats a value, which may be a secret."""
    try:
        return load_profiles(document)
    except InvalidInput as error:
        raise InvalidInput(
            [
                msgspec.structs.replace(diagnostic, message=diagnostic.message.partition(", got ")[0])
                for diagnostic in error.diagnostics
            ]
        ) from None


def _sources(settings: Settings) -> str:
    file, json = settings.sources["profiles_file"], settings.sources["profiles_json"]
    return f"by {file}" if file == json else f"by {file} and by {json}"
