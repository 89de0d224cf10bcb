"""Find the files of this machine that a step uploads: named, by patterns, or selected from a folder."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.transfer.listing import list_remote
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.manifest import Entry
from aetherflow.transfer.selection_inputs import SelectionInputs
from aetherflow.transfer.way import on_disk
from aetherflow.working_directory import absolute


class UploadItem(msgspec.Struct, frozen=True):
    """A file to upload; other keys are allowed, so a file of a listing is one, too.

    Attributes:
        file: its path on this machine; also `path`.
        path: another name of file.
        id: names it in the manifest; default: its name.
        remote_name: its name there, which may have folders; default: `rel_path`, else its name.
        rel_path: its name below the folder that it comes from.
    """

    file: str | None = None
    path: str | None = None
    id: str | None = None
    remote_name: str | None = None
    rel_path: str | None = None

    def __post_init__(self) -> None:
        """Check that there is a path.

        Raises:
            ValueError: there is none.
        """
        if not (self.file or self.path):
            raise ValueError("an item names its file: {file: PATH}")


class LocalSource(msgspec.Struct, frozen=True):
    """A file of this machine that is uploaded.

    Attributes:
        id: names it in the manifest.
        path: absolute.
        rel_path: below the folder that it comes from.
        name: its name there, before `rename`.
        size: in bytes.
        mtime: when it was changed, in seconds since 1970 UTC.
    """

    id: str
    path: str
    rel_path: str
    name: str
    size: int
    mtime: float


class Sources(msgspec.Struct, frozen=True):
    """The files that a step uploads.

    Attributes:
        files: those files, in order.
        is_selection: whether they were selected, so that there may be too few.
        where: what they were selected from, for a message.
    """

    files: list[LocalSource]
    is_selection: bool = False
    where: str = ""


async def listed_sources(context: StepContext, src_dir: str, inputs: SelectionInputs) -> Sources:
    """Return the files of a folder that a selection takes.

    Raises:
        StepError: the folder cannot be listed, or a file cannot be read.
    """
    folder = str(await context.run_blocking(context.path, src_dir))
    found = await list_remote(context, LocalFiles("src_dir", None), folder, inputs)
    given = [(UploadItem(file=one.path, id=one.rel_path), one.rel_path) for one in found]
    return Sources(await on_disk("read", folder, _described, given), is_selection=True, where=folder)


async def given_sources(
    context: StepContext, given: str | Iterable[str | UploadItem], earlier: Mapping[str, Entry]
) -> Sources:
    """Return the files that the inputs name; a text with `*`, `?` or `[` that is no file is a pattern.

    A file that an earlier attempt has sent may be gone.

    Raises:
        StepError: a file does not exist or is a folder (AF311), or two have one id (AF314).
    """
    items: list[str | UploadItem] = [given] if isinstance(given, str) else list(given)
    return await context.run_blocking(_given, context, items, earlier)


def _given(context: StepContext, given: list[str | UploadItem], earlier: Mapping[str, Entry]) -> Sources:
    named: list[tuple[UploadItem, str]] = []
    patterns: list[str] = []
    for one in given:
        item = UploadItem(file=one) if isinstance(one, str) else one
        text = item.file or item.path or ""
        path = str(_place(context, text))
        if glob.has_magic(text) and not os.path.lexists(path):
            patterns.append(path)
            named += [(UploadItem(file=match), Path(match).name) for match in _matches(path)]
        else:
            named.append((msgspec.structs.replace(item, file=path), item.rel_path or Path(path).name))
    there = [(item, name) for item, name in _with_ids(named) if not _is_gone(item, earlier)]
    return Sources(_described(there), bool(patterns), ", ".join(patterns))


def _is_gone(item: UploadItem, earlier: Mapping[str, Entry]) -> bool:
    known = earlier.get(item.id or "")
    return known is not None and known.file == item.file and not Path(known.file).exists()


def _place(context: StepContext, text: str) -> Path:
    """Return the path of a file: absolute, below the job's artifacts, else where the command was started.

    Raises:
        StepError: it leaves the artifacts folder, or is not allowed in enterprise mode.
    """
    path = context.path(text)
    if not Path(text).is_absolute() and not path.exists() and (started := absolute(Path(text))).exists():
        return context.path(str(started))
    return path


def _matches(pattern: str) -> list[str]:
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 - a Path has no absolute patterns
    return sorted(path for path in found if Path(path).is_file())


def _with_ids(named: list[tuple[UploadItem, str]]) -> list[tuple[UploadItem, str]]:
    """Give each file an id: its name, or its path where several have that name.

    Raises:
        StepError: two files have one id (AF314).
    """
    count = Counter(item.id or rel_path for item, rel_path in named)
    found = []
    for item, rel_path in named:
        own = item.id or (rel_path if count[rel_path] == 1 else item.file)
        found.append((msgspec.structs.replace(item, id=own), rel_path))
    twice = [one for one, times in Counter(item.id for item, _ in found).items() if times > 1]
    if twice:
        raise StepError(
            f"two items have the id {twice[0]!r}, which names a file in the manifest",
            hint="give each an id of its own: {file: PATH, id: NAME}, or leave the ids out",
            code="AF314",
        )
    return found


def _described(named: Iterable[tuple[UploadItem, str]]) -> list[LocalSource]:
    """Return the files with their sizes and times; blocking.

    Raises:
        StepError: one is a folder, or cannot be read (AF311).
    """
    found = []
    for item, rel_path in named:
        path = item.file or ""
        try:
            status = Path(path).stat()
        except OSError as error:
            raise local_failure(error, "upload", path) from None
        if not stat.S_ISREG(status.st_mode):
            raise local_failure(OSError(errno.EISDIR, "it is no file"), "upload", path)
        name = item.remote_name or rel_path
        found.append(LocalSource(item.id or rel_path, path, rel_path, name, status.st_size, status.st_mtime))
    return found
