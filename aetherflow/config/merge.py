"""Merge a resource with its profile: its own keys win, mappings merge key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.resource_fields import FieldPath, find_field
from aetherflow.errors import ConfigError
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.placed import folder_of_spec
from aetherflow.spec.suggest import nearest


class MergedResource(msgspec.Struct, frozen=True):
    """A resource merged with its profile, before templates and decoding.

    Attributes:
        profile_folder: where the relative paths of the profile start; None: at the working directory.
    """

    name: str
    own: ResourceSpec
    config: dict[str, Any]
    options: dict[str, Any]
    decode: dict[str, Any]
    profile_folder: Path | None = None

    @property
    def sections(self) -> dict[str, Any]:
        """`config` and `options` as one tree: every field path starts with one of the two."""
        return {"config": self.config, "options": self.options}

    def source(self, path: FieldPath) -> str:
        """Return where a field of `sections` or of `decode` comes from: "flow" or "profile NAME"."""
        return "flow" if self._is_own(path) else f"profile {self.own.profile}"

    def folder(self, path: FieldPath) -> Path | None:
        """Return where a relative path in a field starts: the folder of its file, or None."""
        return folder_of_spec(self.own) if self._is_own(path) else self.profile_folder

    def _is_own(self, path: FieldPath) -> bool:
        own = {"config": self.own.config, "options": self.own.options, "decode": self.own.decode}
        return self.own.profile is None or find_field(own, path) is not None


class UnknownProfile(ConfigError):
    """A resource names a profile that does not exist, or there are no profiles at all (exit 2)."""

    default_code = "AF533"


def merge_resource(
    name: str, spec: ResourceSpec, profiles: Mapping[str, ProfileSpec] | None
) -> MergedResource:
    """Merge a resource with its profile; the keys of the resource win.

    Args:
        name: the name of the resource.
        spec: the resource in the flow file.
        profiles: the profiles, or None if no profiles file is set.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
    """
    profile = ProfileSpec() if spec.profile is None else _profile(name, spec.profile, profiles)
    return MergedResource(
        name=name,
        own=spec,
        config=deep_merge(profile.config, spec.config),
        options=deep_merge(profile.options, spec.options),
        decode=merge_decode(profile.decode, spec.decode),
        profile_folder=folder_of_spec(profile),
    )


def deep_merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by `own`: mappings merge key by key, other values replace."""
    merged = dict(base)
    for key, value in own.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = deep_merge(under, value)
        else:
            merged[key] = value
    return merged


def merge_decode(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return both decode rules as one; path lists are joined, so a secret of the profile stays decoded."""
    merged = deep_merge(base, own)
    for key in ("config_paths", "options_paths"):
        under, over = base.get(key), own.get(key)
        if isinstance(under, list) and isinstance(over, list):
            merged[key] = [*over, *(path for path in under if path not in over)]
    return merged


def _profile(name: str, profile: str, profiles: Mapping[str, ProfileSpec] | None) -> ProfileSpec:
    if profiles is None:
        hint = "set AETHERFLOW_PROFILES_FILE (or AETHERFLOW_PROFILES_JSON)"
        message = f"resource {name!r} names the profile {profile!r}, but no profiles file is set"
        raise UnknownProfile(message, hint=hint, code="AF534")
    if profile not in profiles:
        meant = nearest(profile, tuple(profiles))
        there = ", ".join(sorted(profiles)) or "none"
        hint = f"did you mean {meant!r}?" if meant else f"profiles there: {there}"
        raise UnknownProfile(f"resource {name!r} names an unknown profile {profile!r}", hint=hint)
    return profiles[profile]
