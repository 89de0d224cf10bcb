"""Refuse what the project file inside a bundle must not say."""

from __future__ import annotations

from aetherflow.config.project import Project
from aetherflow.config.restrictions import ENTERPRISE
from aetherflow.errors import ConfigError
from aetherflow.spec.load_manifest import stays_inside
from aetherflow.spec.load_project import paths_of

_ROOTS = frozenset({"state_root", "work_root"})
_OF_BUNDLES = frozenset({"profiles_file"})


def check_bundle_project(project: Project, mode: str) -> None:
    """Refuse what the project file of a bundle must not say.

    In enterprise mode that is any setting but `profiles`, and a path that leaves the bundle; in every mode
    it is where state and work are, as the bundle itself is there.

    Raises:
        ConfigError: it says such a thing.
    """
    is_enterprise = mode == ENTERPRISE
    for name, given in project.settings("").items():
        if name in _ROOTS or (is_enterprise and name not in _OF_BUNDLES):
            when = "in enterprise mode " if is_enterprise else ""
            raise ConfigError(
                f"{given.origin}: {when}the project file of a bundle cannot set {name}",
                hint="set it in the environment of the process, or in a project file beside the manifest",
                code="AF873",
            )
    if is_enterprise and project.written.spec.executors:
        raise ConfigError(
            f"{project.written.origin(('executors',))}: in enterprise mode the project file of a bundle "
            "cannot give options of executors",
            hint="give them in the environment of the process, or in a project file beside the manifest",
            code="AF873",
        )
    for path, text in paths_of(project.written.spec):
        if is_enterprise and not stays_inside(text):
            raise ConfigError(
                f"{project.written.origin(path)}: {text!r} leaves the bundle",
                hint="write a path relative to this file",
                code="AF851",
            )
