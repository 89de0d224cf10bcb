"""Find the files that go into an archive: paths, patterns and folders, all of them below one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from aetherflow import StepError, files
from aetherflow_archive.archive_connector import PackedFile

_WILDCARD = re.compile(r"[*?\[]")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}([0-9a-f]{8})?\.part")
"""The names of incomplete files (`files.temporary_name`) and folders, which a killed process may leave."""


class ItemPattern(msgspec.Struct, frozen=True):
    """Which files to pack: a path, or a pattern of paths."""

    text: str
    may_be_path: bool = True
    may_be_pattern: bool = True


class Collection(msgspec.Struct, frozen=True):
    """The files that were found.

    Attributes:
        members: sorted by name, each once.
        missing: items that match nothing.
    """

    members: list[PackedFile]
    missing: list[str]


def collect(
    items: Sequence[ItemPattern],
    resolve: Callable[[str], Path],
    base: Path,
    *,
    recursive: bool,
    leave_out: Path | None,
) -> Collection:
    """Return the files that the items name.

    A relative item is first looked up where `resolve` puts it, then below `base`.

    Args:
        items: what to pack.
        resolve: returns the absolute path of a text, and refuses one that is not allowed.
        base: the folder that all files must be in; their names in the archive are relative to it.
        recursive: whether a folder brings the folders in it.
        leave_out: a file that is never packed: the archive itself.

    Raises:
        StepError: a file is outside `base`, also by a link, or is no regular file, or its name cannot be
            written as UTF-8 (AF395).
    """
    root = base.resolve()
    found: dict[str, Path] = {}
    missing = []
    for item in items:
        paths = list(_matches(item, resolve, base))
        if not paths:
            missing.append(item.text)
        for path in paths:
            for file in _files_of(path, recursive=recursive):
                if file != leave_out:
                    found.setdefault(_name(file, base, root), file)
    members = [PackedFile(name, path) for name, path in sorted(found.items())]
    return Collection(members, missing)


def _matches(item: ItemPattern, resolve: Callable[[str], Path], base: Path) -> Iterator[Path]:
    """Yield the paths that an item means: those below the artifacts if they are in `base`, else in `base`."""
    here = list(_found(item, resolve))
    if Path(item.text).is_absolute():
        yield from here
        return
    inside = [path for path in here if path.is_relative_to(base)]
    yield from inside or list(_found(item, lambda text: resolve(str(base / text)))) or here


def _found(item: ItemPattern, resolve: Callable[[str], Path]) -> Iterator[Path]:
    wildcard = _WILDCARD.search(item.text) if item.may_be_pattern else None
    if item.may_be_path and (wildcard is None or resolve(item.text).exists()):
        path = _normal(resolve(item.text))
        if os.path.lexists(path):
            yield path
    elif wildcard is not None:
        folder, _, _ = item.text[: wildcard.start()].rpartition("/")
        pattern = item.text[len(folder) :].lstrip("/")
        start = resolve(folder or ("/" if item.text.startswith("/") else "."))
        try:
            matching = _matching(start, pattern)
        except ValueError as error:
            raise StepError(
                f"the pattern {item.text!r} is not valid: {error}",
                hint="`*` is a part of a name, `**` any folders: **/*.csv",
                code="AF395",
            ) from error
        yield from sorted(_normal(path) for path in matching if not _TEMPORARY.fullmatch(path.name))


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return what matches; Python 3.13 would take `**` beside other characters for `*`."""
    if any("**" in part and part != "**" for part in pattern.split("/")):
        raise ValueError("'**' can only be an entire path component")
    return list(folder.glob(pattern))


def _normal(path: Path) -> Path:
    """Return a path without `..`, which must not get into a name."""
    return Path(os.path.normpath(path))


def _files_of(path: Path, *, recursive: bool) -> Iterator[Path]:
    """Yield a file, or the files in a folder; links to folders below it are not followed."""
    if path.is_dir():
        for entry in files.list_files(path, recursive=recursive):
            parts = entry.path.split("/")
            if not any(map(_TEMPORARY.fullmatch, parts)):
                yield path.joinpath(*parts)
    elif path.is_file():
        yield path
    else:
        what = "is a link to nothing" if path.is_symlink() else "is no regular file"
        raise _refused(f"{path} {what}")


def _name(file: Path, base: Path, root: Path) -> str:
    """Return the name of a file in the archive."""
    real = file.resolve()
    if not real.is_relative_to(root):
        if file.is_relative_to(base):
            raise _refused(f"{file} is a link to {real}, which is outside src_dir {base}")
        raise StepError(
            f"{file} is outside src_dir {base}, and only files in it are packed",
            hint="set src_dir to a folder that has all items in it",
            code="AF395",
        )
    name = (file.relative_to(base) if file.is_relative_to(base) else real.relative_to(root)).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _refused(f"the name of {os.fsencode(file)!r} is not UTF-8") from None
    return name


def _refused(what: str) -> StepError:
    return StepError(
        f"{what}; it cannot be packed", hint="rename or remove it, or name other items", code="AF395"
    )
