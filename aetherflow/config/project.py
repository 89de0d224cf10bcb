"""Find the project of a flow: the nearest `aetherflow.yaml` from its folder upwards.

A file of somebody else is ignored with a warning, as git does with repositories: anybody can write
`/tmp/aetherflow.yaml`, and a project may name code to load. Trusted are the files of the user, of root, and
of the owner of the flow, which is run anyway.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aetherflow.config.settings import Given
from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.spec.document import NodePath, scan_file
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.load_project import (
    ProjectDocument,
    is_project,
    needed_paths,
    read_project,
)
from aetherflow.spec.project import PROJECT_FILE, STEPS_FOLDER
from aetherflow.spec.suggest import nearest
from aetherflow.working_directory import absolute, working_directory
from aetherflow.written_path import folder_of, written_path

_OPTIONAL_DOTENV = ".env"
_PATH_SETTINGS = frozenset({"state_root", "work_root", "secrets_path", "metrics_textfile"})


class Project(msgspec.Struct, frozen=True, eq=False):
    """A project file, read once; what it says is resolved, what it names is there."""

    written: ProjectDocument

    @property
    def file(self) -> str:
        """The name of the file, as messages show it."""
        return self.written.document.file

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self.written.folder

    @property
    def steps_folder(self) -> Path:
        """Where the project's own step types are; it may not exist."""
        return self.folder / STEPS_FOLDER

    def settings(self, home: str) -> dict[str, Given]:
        """Return the settings that the file gives, typed, by their names in `Settings`."""
        spec = self.written.spec
        found: dict[str, Given] = {}
        for name, value in msgspec.structs.asdict(spec.settings).items():
            if value is not None:
                resolved = written_path(value, self.folder, home=home) if name in _PATH_SETTINGS else value
                resolved = tuple(dict.fromkeys(value)) if isinstance(value, list) else resolved
                found[name] = Given(resolved, self.written.origin(("settings", name)))
        if spec.profiles:
            path = written_path(spec.profiles, self.folder, home=home)
            found["profiles_file"] = Given(path, self.written.origin(("profiles",)))
        if spec.plugin_paths:
            paths = tuple(written_path(text, self.folder, home=home) for text in spec.plugin_paths)
            found["plugin_paths"] = Given(paths, self.written.origin(("plugin_paths",)))
        return found

    def env_files(self) -> Iterator[tuple[EnvFile, str]]:
        """Yield the files of variables and their places, the least important first: `.env` is the last."""
        spec = self.written.spec
        for number, entry in enumerate(spec.env_files):
            one = EnvFile(path=entry) if isinstance(entry, str) else entry
            yield one, self.written.origin(("env_files", number))
        if spec.dotenv:
            is_named = isinstance(spec.dotenv, str)
            path = spec.dotenv if isinstance(spec.dotenv, str) else _OPTIONAL_DOTENV
            yield EnvFile(path=path, optional=not is_named), self.written.origin(("dotenv",))

    def defaults(self) -> dict[str, Given]:
        """Return the keys of `flow:` that the file gives, by their names, as plain data."""
        found = self.written.document.value.get("defaults") or {}
        return {key: Given(value, self.written.origin(("defaults", key))) for key, value in found.items()}


class FoundProject(msgspec.Struct, frozen=True):
    """The result of a search.

    Attributes:
        project: the nearest one; None if there is none.
        searched: the folder where the search began.
        ignored: a warning for each file that was found and is not trusted.
    """

    project: Project | None
    searched: Path
    ignored: tuple[Diagnostic, ...] = ()


def project_of(file: Path, top: Path | None = None) -> FoundProject:
    """Find the project of a flow, a scheduler file or a manifest; its links are not followed.

    A flow that comes through a pipe has the project of the working directory.

    Args:
        file: the file.
        top: where the search ends; default: the root of the file system.

    Raises:
        InvalidInput: there is a project file, and it is wrong.
    """
    return _find(folder_of(file), top, _owner(file))


def project_here() -> FoundProject:
    """Find the project of the working directory, for a command that names no flow.

    Raises:
        InvalidInput: there is a project file, and it is wrong.
    """
    try:
        folder = working_directory()
    except FileNotFoundError:
        return FoundProject(None, Path())
    return _find(folder, None, None)


def is_project_file(file: Path) -> bool:
    """Whether a file is meant as a project file: it is called so, and has no keys of another kind of file."""
    if file.name != PROJECT_FILE or not os.path.isfile(file):  # noqa: PTH113 - as below
        return False
    document, _ = scan_file(file)
    return document is None or is_project(document.value)


def check_project(file: Path) -> None:
    """Check a project file that is named itself, whatever user owns it.

    Raises:
        InvalidInput: it is wrong.
    """
    _read(file, absolute(file).parent)


def _find(folder: Path, top: Path | None, trusted: int | None) -> FoundProject:
    ignored: list[Diagnostic] = []
    for place in (folder, *folder.parents):
        candidate = place / PROJECT_FILE
        if os.path.isfile(candidate):  # noqa: PTH113 - Path.is_file raises where a folder may not be entered
            shown = _shown(candidate)
            if (owner := _owner(candidate)) not in (0, os.geteuid(), trusted):
                ignored.append(_not_trusted(shown, owner))
            elif (project := _read(shown, place)) is not None:
                return FoundProject(project, folder, tuple(ignored))
        elif (target := _lost_target(candidate, trusted)) is not None:
            message = f"this project file is a link to {target}, which does not exist"
            lost = Diagnostic("AF162", message, str(_shown(candidate)), hint="correct the link, or remove it")
            raise InvalidInput([lost])
        if place == top:
            break
    return FoundProject(None, folder, tuple(ignored))


def _read(shown: Path, folder: Path) -> Project | None:
    """Return the project; None if the file is another kind of file.

    Raises:
        InvalidInput: the file is wrong, or names files that do not exist.
    """
    written = read_project(shown, folder)
    if written is None:
        return None
    wrong = [
        written.document.diagnostic(path, "AF162", f"there is no {named}", _hint(path, named))
        for path, text in needed_paths(written.spec)
        if not os.path.exists(named := written_path(text, folder))  # noqa: PTH110 - as above
    ]
    wrong += _wrong_zone(written)
    if wrong:
        raise InvalidInput(written.document.in_order(wrong))
    return Project(written)


def _wrong_zone(written: ProjectDocument) -> list[Diagnostic]:
    if written.spec.defaults.timezone is None:
        return []
    from aetherflow.schedule.zone import zone_problem  # noqa: PLC0415 - few projects name a zone

    problem = zone_problem(written.spec.defaults.timezone)
    where = ("defaults", "timezone")
    return (
        [written.document.diagnostic(where, problem.code, problem.message, problem.hint)] if problem else []
    )


def _hint(key: NodePath, path: Path) -> str:
    if key == ("dotenv",):
        return f"write true to read {_OPTIONAL_DOTENV} if there is one, or correct the path"
    try:
        there = [name for name in os.listdir(path.parent) if name.endswith(path.suffix)]  # noqa: PTH208 - names
    except OSError:
        there = []
    meant = nearest(path.stem, [name.removesuffix(path.suffix) for name in there])
    return f"did you mean {meant}{path.suffix}?" if meant else "correct the path, or remove it"


def _shown(path: Path) -> Path:
    """Return the name of a file as people expect it: short if it is below the working directory."""
    try:
        here = working_directory()
    except FileNotFoundError:
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def _lost_target(link: Path, trusted: int | None) -> str | None:
    """Return where a link leads that leads nowhere; None if it is something else, or is not trusted."""
    try:
        is_ours = link.lstat().st_uid in (0, os.geteuid(), trusted)
        return os.readlink(link) if is_ours else None  # noqa: PTH115 - the text of it
    except OSError:
        return None


def _owner(file: Path) -> int | None:
    try:
        return file.stat().st_uid
    except OSError:
        return None


def _not_trusted(file: Path, owner: int | None) -> Diagnostic:
    try:
        name = pwd.getpwuid(owner).pw_name if owner is not None else "somebody"
    except KeyError:
        name = f"uid {owner}"
    return Diagnostic(
        "AF160",
        f"this project file is ignored: it belongs to {name}, not to you, root or the owner of the flow",
        str(file),
        severity="warning",
        hint="if you trust it, make it yours: sudo chown $USER FILE",
    )
