"""The folders of a run: `<root>/<flow id>/<job id>/<run id>/<artifacts|scratch|manifests>`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from aetherflow.config.restrictions import is_under
from aetherflow.errors import StepError
from aetherflow.file_access import FileAccess, make_folder
from aetherflow.run_ids import folder_name
from aetherflow.sdk.removal import make_own, remove_own
from aetherflow.written_path import unexpanded, variable_of

DEFAULT_LAYOUT: Mapping[str, str] = MappingProxyType(
    {"artifacts": "artifacts", "scratch": "scratch", "manifests": "manifests"}
)


class Workspace(msgspec.Struct, frozen=True):
    """The folders of one run; each is created when it is first used.

    Attributes:
        layout: the folder names of a job by purpose (`artifacts`, `scratch`, `manifests`).
        strict: whether a relative path that leaves its folder is refused (`AETHERFLOW_STRICT_SANDBOX`).
        allowed: the folders, beside `root`, that the paths of steps must be under; None: any path is allowed.
        access: who may read and write what is created in the workspace.
    """

    root: Path
    flow_id: str
    run_id: str
    layout: Mapping[str, str] = DEFAULT_LAYOUT
    strict: bool = True
    allowed: tuple[Path, ...] | None = None
    access: FileAccess = "private"

    def job_directory(self, job_id: str) -> Path:
        """Return the folder of a job in this run; it may not exist."""
        return Path(self.root, self.flow_id, job_id, folder_name(self.run_id))

    def directory(self, job_id: str, area: str) -> Path:
        """Return the folder of `area` (a key of the layout); create it if it does not exist.

        Raises:
            StepError: it cannot be made.
        """
        own = self.job_directory(job_id)
        path = own / self.layout.get(area, area)
        try:
            if not path.is_dir():
                make_own(own, self.access)
                make_folder(path, self.access)
        except OSError as error:
            raise StepError(
                f"cannot make the folder {path}: {error.filename or path}: {error.strerror or error}",
                hint="make room, correct the permissions, or move away what is in its place",
                code="AF758",
            ) from None
        return path

    def folders(self, job_id: str) -> list[Path]:
        """Return the folders of a job that the layout names, and the folder that they are in."""
        own = self.job_directory(job_id)
        return [own, *(own / name for name in self.layout.values())]

    def resolve(self, job_id: str, text: str) -> Path:
        """Return the path that `text` names; a relative path is below the job's artifacts folder.

        Raises:
            StepError: a relative path leaves the artifacts folder (by `..` or through a symbolic link) while
                the sandbox is strict, or the path is not under an allowed folder; or it begins with `~` or
                `$HOME`, which would be a folder called so.
        """
        if found := unexpanded(text):
            name = variable_of(found)
            raise StepError(
                f"the path {text!r} begins with {found}, which is not replaced here",
                hint=f"write {{{{env.{name}}}}} in its place, or ./{text} for a folder called {found}",
                code="AF142",
            )
        given = Path(text)
        if given.is_absolute():
            self._check_allowed(text, given)
            return given
        base = self.directory(job_id, "artifacts")
        path = Path(os.path.normpath(base / given))
        if self.strict and self.is_outside(job_id, path):
            raise StepError(
                f"the path {text!r} leaves the job's artifacts folder {base}",
                hint="use a path below it, or an absolute path",
                code="AF720",
            )
        self._check_allowed(text, path)
        return path

    def _check_allowed(self, text: str, path: Path) -> None:
        if self.allowed is not None and not is_under(path, (self.root, *self.allowed)):
            raise StepError(
                f"enterprise mode does not allow the path {text!r}",
                hint="use one under the workspace or the bundle, or list it in the manifest: paths.allow",
                code="AF870",
            )

    def is_outside(self, job_id: str, path: Path) -> bool:
        """Whether a path leads out of the job's artifacts folder, symbolic links followed."""
        return not path.resolve().is_relative_to(self.directory(job_id, "artifacts").resolve())

    def remove(self, job_ids: list[str]) -> list[str]:
        """Delete the folders of these jobs that AetherFlow made.

        Returns:
            a sentence for each that could not be deleted, or was made by somebody else.
        """
        problems: list[str] = []
        for job_id in self._with_folders(job_ids):
            directory = self.job_directory(job_id)
            parent = directory.parent
            try:
                if parent.resolve() == self.root.resolve() / parent.relative_to(self.root):
                    remove_own(directory)
                else:
                    problems.append(f"cannot delete {directory}: {parent} leads out of the workspace")
            except OSError as error:
                problems.append(f"cannot delete {directory}: {error.strerror or error}")
        return problems

    def _with_folders(self, job_ids: list[str]) -> list[str]:
        """Return the jobs that may have a folder, by one look: few of 100,000 jobs may have made one."""
        try:
            found = {folder.name for folder in (self.root / self.flow_id).iterdir()}
        except FileNotFoundError:
            return []
        except OSError:
            return job_ids
        return [job_id for job_id in job_ids if job_id in found]
