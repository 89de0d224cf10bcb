"""Make the relative paths in a resource absolute: they start at the folder of the file that has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aetherflow.config.merge import MergedResource, merge_resource
from aetherflow.errors import ConfigError
from aetherflow.sdk.connector import Connector
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.working_directory import absolute, working_directory_name
from aetherflow.written_path import UnclearPath, written_path


def with_absolute_paths(
    name: str,
    spec: ResourceSpec,
    profiles: Mapping[str, ProfileSpec] | None,
    connector: type[Connector],
    config: dict[str, Any],
    home: str,
) -> dict[str, Any]:
    """Return the resolved `config` of a resource with absolute paths; its connector knows the keys.

    Raises:
        ConfigError: a path is not clear; or a file is where earlier versions looked for it (AF144).
    """
    merged = merge_resource(name, spec, profiles)
    return connector.absolute_paths(config, partial(_absolute, merged, home))


def _absolute(merged: MergedResource, home: str, key: str, text: str) -> str:
    called = f"resource {merged.name!r}: config.{key}"
    folder = merged.folder(("config", key))
    try:
        path = written_path(text, folder, home=home)
    except UnclearPath as error:
        raise ConfigError(f"{called}: {error.message}", hint=error.hint, code=error.code) from None
    _refuse_left_behind(called, text, path)
    return str(path)


def _refuse_left_behind(called: str, text: str, path: Path) -> None:
    """Refuse to make a new file while the one of that name is below the working directory."""
    if text.startswith(("/", "~")) or not working_directory_name():
        return
    old = absolute(Path(text))
    if old != path and old.is_file() and not path.exists():
        raise ConfigError(
            f"{called} is {text!r}, which starts at the file that has it: {path} does not exist, "
            f"but {old} does",
            hint=f"move it there, or write its whole path: {old}",
            code="AF144",
        )
