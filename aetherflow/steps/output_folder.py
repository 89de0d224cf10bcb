"""The output folder of `atomic_dir`: what a program writes to one folder becomes another when it succeeded.

Both are below the folders of the job. Before the program has succeeded, nothing is deleted but a temporary
folder that an earlier attempt made. Everything here changes files, so it is called in worker threads.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.file_access import FileAccess, make_folder
from aetherflow.mounts import mounts_below
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.files import temporary_name
from aetherflow.sdk.publishing import aside_of, publish
from aetherflow.sdk.removal import is_own, make_own, note_as_own, note_of, remove_own
from aetherflow.steps.process_failure import OUTPUT_FAILED
from aetherflow.steps.process_inputs import IdempotencyInputs

REFUSED = "AF756"
NOT_OURS = "AF757"


class OutputFolder(msgspec.Struct, frozen=True):
    """What the program writes to `temporary` becomes `final` when it succeeded.

    Attributes:
        replace: whether `final` is replaced; false: the files are moved into it one by one.
        access: who may read the temporary folder; None: as the umask says.
    """

    temporary: Path
    final: Path
    replace: bool = True
    access: FileAccess | None = "private"

    @property
    def _aside(self) -> Path:
        return aside_of(self.final)

    def prepare(self) -> None:
        """Make an empty temporary folder, and finish or undo what a crash left half done.

        Raises:
            StepError: it cannot be made; or what would be deleted or replaced is not AetherFlow's.
        """
        try:
            _check("temp_output_dir", self.temporary)
            _check("final_output_dir", self.final)
            if is_own(self._aside) and not os.path.lexists(self.final):
                self._aside.rename(self.final)  # died between the two renames: the old content counts
            _clear("the folder beside final_output_dir", self._aside)
            _clear("temp_output_dir", self.temporary)
            make_own(self.temporary, self.access)
        except OSError as error:
            raise self._failed(error) from None

    def publish(self) -> None:
        """Make what the program wrote the content of the final folder.

        Raises:
            StepError: it cannot be moved there; the old content is still in place.
        """
        try:
            _check("temp_output_dir", self.temporary)
            _check("final_output_dir", self.final)
            make_folder(self.final.parent, self.access)
            if self.replace:
                self._swap()
            else:
                self._merge()
        except OSError as error:
            raise self._failed(error) from None

    def before_publishing(self, path: Path) -> list[Path]:
        """Return where to look, before publishing, for what will then be at `path`."""
        if not path.is_relative_to(self.final):
            return [path]
        written = self.temporary / path.relative_to(self.final)
        return [written] if self.replace else [written, path]

    def _swap(self) -> None:
        if os.path.lexists(self.final):
            _clear("the folder beside final_output_dir", self._aside)
            note_as_own(self._aside, self.access)
        publish(str(self.temporary), str(self.final), "folder")
        note_of(self.temporary).unlink(missing_ok=True)

    def _merge(self) -> None:
        """Move the files into the final folder; no link in it is followed."""
        moves = list(_moves(self.temporary, self.final))
        for source, target in moves:
            if os.path.lexists(target) and _is_folder(source) != _is_folder(target):
                raise FileExistsError(errno.EEXIST, "a folder and a file have the same name", str(target))
        for source, target in moves:
            if not _is_folder(source):
                _move(source, target)
            elif make_folder(target, "private"):
                shutil.copystat(source, target)
        remove_own(self.temporary)

    def _failed(self, error: OSError) -> StepError:
        if isinstance(error, FileNotFoundError) and not os.path.lexists(self.temporary):
            return StepError(
                f"the program has deleted or moved temp_output_dir, {self.temporary}",
                hint="let it write into that folder, and leave the folder itself where it is",
                code=OUTPUT_FAILED,
            )
        where = f"{error.filename}: " if error.filename else ""
        return StepError(
            f"cannot move the output from {self.temporary} to {self.final}: {where}{error.strerror or error}",
            hint="temp_output_dir and final_output_dir must be on one filesystem and writable; across "
            "filesystems set idempotency.atomic_rename: false",
            code=OUTPUT_FAILED,
        )


def output_folder(context: StepContext, inputs: IdempotencyInputs) -> OutputFolder | None:
    """Return the folders of `atomic_dir`, or None for another strategy.

    Raises:
        StepError: one folder contains the other, or is not below the folders of the job, or is one of them.
    """
    if inputs.strategy != "atomic_dir" or not inputs.temp_output_dir or not inputs.final_output_dir:
        return None
    temporary, final = context.path(inputs.temp_output_dir), context.path(inputs.final_output_dir)
    for what, path in (("temp_output_dir", temporary), ("final_output_dir", final)):
        _check_place(what, path, context.job_folders)
        _check(what, path)
    if temporary.is_relative_to(final) or final.is_relative_to(temporary):
        raise StepError(
            f"temp_output_dir {temporary} and final_output_dir {final} must not contain each other",
            hint="use two folders side by side",
            code=OUTPUT_FAILED,
        )
    return OutputFolder(temporary, final, inputs.atomic_rename, context.access_of(temporary))


def _check_place(what: str, path: Path, folders: list[Path]) -> None:
    """Refuse a place that is not below the folders of the job, links followed, or has one of them in it."""
    if ".." in path.parts:
        raise _refused(what, path, "has `..` in it")
    real = path.parent.resolve() / path.name
    places = [folder.resolve() for folder in folders]
    if any(place.is_relative_to(real) for place in places):
        raise _refused(what, path, "is a folder of the job, or has one in it")
    if not any(real.is_relative_to(place) for place in places):
        raise _refused(what, path, "is not below a folder of the job")


def _check(what: str, path: Path) -> None:
    """Refuse what is no folder that may be replaced."""
    if path.is_symlink():
        raise _refused(what, path, "is a symbolic link")
    if os.path.lexists(path) and not path.is_dir():
        raise _refused(what, path, "is no folder")
    if mounts := mounts_below(path):
        raise _refused(what, path, f"cannot be replaced, as something is mounted at {mounts[0]}")


def _refused(what: str, path: Path, why: str) -> StepError:
    return StepError(
        f"{what} {path} {why}",
        hint="name a folder of its own below the job's artifacts, such as export.tmp; to write elsewhere, "
        "name that place in workspace.layout, and a folder below it here",
        code=REFUSED,
    )


def _clear(what: str, folder: Path) -> None:
    """Delete a folder that AetherFlow made, or an empty one; refuse to delete another."""
    if not os.path.lexists(folder):
        note_of(folder).unlink(missing_ok=True)
    elif is_own(folder):
        remove_own(folder)
    elif not _is_folder(folder) or any(folder.iterdir()):
        raise StepError(
            f"{what}, {folder}, was not made by AetherFlow, and would be deleted",
            hint="move it to another place or delete it, or name a folder that nothing else uses",
            code=NOT_OURS,
        )
    else:
        folder.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _moves(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield every folder before its content, and where it goes; links are not followed."""
    yield source, target
    if _is_folder(source):
        for inner in sorted(source.iterdir()):
            yield from _moves(inner, target / inner.name)


def _move(source: Path, target: Path) -> None:
    """Move a file or link in place of another one, also to another file system."""
    try:
        publish(str(source), str(target))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(temporary_name(target.name))
        try:
            shutil.copy2(source, part, follow_symlinks=False)
            publish(str(part), str(target))
        finally:
            part.unlink(missing_ok=True)
        source.unlink()
