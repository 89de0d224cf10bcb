"""Enforce enterprise mode: restrict paths, archive drivers, and the settings that a bundle may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from aetherflow.config.settings import PLACES, PREFIX, Settings
from aetherflow.errors import ConfigError
from aetherflow.working_directory import absolute

ENTERPRISE = "enterprise"


class Restrictions(msgspec.Struct, frozen=True):
    """The restrictions of a run; None means no restriction.

    Attributes:
        paths: what absolute paths must be under, beside the workspace.
        zip_drivers: the archive drivers that may be used.
    """

    paths: tuple[Path, ...] | None = None
    zip_drivers: frozenset[str] | None = None


def restrictions_of(settings: Settings, paths: Iterable[Path], zip_drivers: Iterable[str]) -> Restrictions:
    """Return what the mode forbids, but for these paths and drivers."""
    if settings.mode != ENTERPRISE:
        return Restrictions()
    return Restrictions(tuple(absolute(path) for path in paths), frozenset(zip_drivers))


def check_place(key: str, path: Path, restrictions: Restrictions, roots: Iterable[Path]) -> None:
    """Refuse a path of a flow that is outside of the allowed ones.

    Raises:
        ConfigError: it is neither under one of the roots nor under an allowed path.
    """
    if restrictions.paths is None or is_under(path, (*roots, *restrictions.paths)):
        return
    raise ConfigError(
        f"{key} is {path}, which enterprise mode does not allow",
        hint="choose a place under AETHERFLOW_WORK_ROOT, or list it in the manifest: paths: {allow: [...]}",
        code="AF871",
    )


def check_bundle_variables(variables: Mapping[str, str], origin: str) -> None:
    """Refuse settings in an env file of a bundle, and what the places of state and work follow from.

    Raises:
        ConfigError: it sets one.
    """
    if found := sorted(name for name in variables if name.startswith(PREFIX) or name in PLACES):
        raise ConfigError(
            f"{origin} sets {', '.join(found)}: in enterprise mode a bundle cannot change settings",
            hint="set them in the environment of the process",
            code="AF873",
        )


def is_under(path: Path, roots: Iterable[Path]) -> bool:
    """Whether a path, with all symbolic links followed, is one of the roots or below one."""
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)
