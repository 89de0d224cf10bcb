"""Resources and profiles with the folder of their file, where their relative paths start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aetherflow.spec.flow import ProfileSpec, ResourceSpec


class PlacedResource(ResourceSpec, frozen=True):
    """A resource of a flow or a manifest, and the folder of that file."""

    folder: Path | None = None


class PlacedProfile(ProfileSpec, frozen=True):
    """A profile of a profiles file, and the folder of that file."""

    folder: Path | None = None


def placed_resource(spec: ResourceSpec, folder: Path) -> PlacedResource:
    """Return a resource with the folder of the file that declares it."""
    return PlacedResource(**_fields(spec), folder=folder)


def placed_profile(spec: ProfileSpec, folder: Path) -> PlacedProfile:
    """Return a profile with the folder of its file."""
    return PlacedProfile(**_fields(spec), folder=folder)


def folder_of_spec(spec: ResourceSpec | ProfileSpec) -> Path | None:
    """Return where relative paths start; None (the working directory) for what comes from a variable."""
    return spec.folder if isinstance(spec, PlacedResource | PlacedProfile) else None


def _fields(spec: ResourceSpec | ProfileSpec) -> dict[str, Any]:
    own = spec.__struct_fields__
    return {name: getattr(spec, name) for name in own if name != "folder"}
