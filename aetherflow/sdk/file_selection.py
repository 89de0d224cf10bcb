"""Select files of a listing, local or remote: by name, size, age and done-files, in order. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from aetherflow.errors import StepError

Sort = Literal["name", "size", "mtime"]
ZeroByte = Literal["take", "skip", "fail"]

_INCOMPLETE = re.compile(r"\..*\.[0-9a-f]{8,16}\.part")
"""The name of an incomplete file, see `files.temporary_name`."""

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")

MOST_NAMES = 5
"""How many files an error names."""


class FileEntry(msgspec.Struct, frozen=True):
    """A file of a listing, local or remote.

    Attributes:
        path: relative to the folder that was listed, with `/` between its parts.
        size: in bytes.
        modified: when it was changed, timezone-aware; None if the server does not report it.
    """

    path: str
    size: int
    modified: datetime | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class FileSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which files of a listing are taken, and in which order.

    A pattern with a `/` is compared with the whole path, one without with the name; `*`, `?` and `[...]` as
    in a shell, upper and lower case apart, and `*` matches a leading dot and, in a whole path, also `/`. What
    AetherFlow is still writing (`.NAME.1f0a9c22.part`) is taken only by a pattern that ends with `.part`.

    Attributes:
        patterns: one of them must match.
        exclude: none of them may match.
        recursive: whether files in folders below are taken too.
        min_bytes: the smallest size.
        max_bytes: the largest size.
        min_age_seconds: what was changed since then is left out: it may still be written.
        modified_after: what was not changed after this instant is left out.
        modified_before: what was not changed before this instant is left out.
        done_file: only files are taken beside which such a file exists; `{name}`, `{stem}` and `{suffix}` are
            those of the file. What is the done-file of another file is not taken itself.
        zero_byte: whether empty files are taken, left out, or an error.
        max_count: at most so many are taken, the first ones in order.
        sort: by `name` (the whole path), `size` or `mtime`; what is equal stays in the order of its path.
        reverse: largest, latest or last first.
    """

    patterns: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    recursive: bool = False
    min_bytes: int = 0
    max_bytes: int | None = None
    min_age_seconds: float | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    done_file: str = ""
    zero_byte: ZeroByte = "take"
    max_count: int | None = None
    sort: Sort = "name"
    reverse: bool = False

    def select(self, entries: Iterable[FileEntry], now: datetime) -> list[FileEntry]:
        """Return the selected entries in order; an entry without a time is outside every limit of time.

        Raises:
            StepError: an empty file is selected, and `zero_byte` is `fail` (AF723).
        """
        listed = list(entries)
        taken = [entry for entry in listed if self._takes(entry, now)]
        if self.done_file:
            taken = self._done(taken, listed)
        if self.zero_byte == "fail" and (empty := [entry.path for entry in taken if not entry.size]):
            count = f"{len(empty)} files are empty: " if len(empty) > 1 else "a file is empty: "
            raise StepError(
                f"{count}{', '.join(map(repr, empty[:MOST_NAMES]))}",
                hint="zero_byte: skip leaves empty files out, zero_byte: take takes them",
                code="AF723",
            )
        taken.sort(key=lambda entry: entry.path)
        if self.sort == "size":
            taken.sort(key=lambda entry: entry.size)
        elif self.sort == "mtime":
            taken.sort(key=lambda entry: entry.modified or datetime.min.replace(tzinfo=UTC))
        return (taken[::-1] if self.reverse else taken)[: self.max_count]

    def _takes(self, entry: FileEntry, now: datetime) -> bool:
        if not self.recursive and "/" in entry.path:
            return False
        if not _matches(entry, self.patterns) or _matches(entry, self.exclude):
            return False
        if _INCOMPLETE.fullmatch(entry.name) and not any(one.endswith(".part") for one in self.patterns):
            return False
        if entry.size < self.min_bytes or (self.max_bytes is not None and entry.size > self.max_bytes):
            return False
        if self.zero_byte == "skip" and not entry.size:
            return False
        return self._is_of_the_time(entry.modified, now)

    def _is_of_the_time(self, modified: datetime | None, now: datetime) -> bool:
        limits = (self.min_age_seconds, self.modified_after, self.modified_before)
        if modified is None:
            return limits == (None, None, None)
        return (
            (self.min_age_seconds is None or (now - modified).total_seconds() >= self.min_age_seconds)
            and (self.modified_after is None or modified > self.modified_after)
            and (self.modified_before is None or modified < self.modified_before)
        )

    def _done(self, taken: list[FileEntry], listed: Sequence[FileEntry]) -> list[FileEntry]:
        """Return what has a done-file, without the done-files of others."""
        paths = {entry.path for entry in listed}
        markers = {self._done_path(entry) for entry in listed} & paths
        return [e for e in taken if self._done_path(e) in paths and e.path not in markers]

    def _done_path(self, entry: FileEntry) -> str:
        path = PurePosixPath(entry.path)
        parts = {"name": path.name, "stem": path.stem, "suffix": path.suffix}
        name = self.done_file
        for key, value in parts.items():
            name = name.replace(f"{{{key}}}", value)
        return entry.path[: -len(path.name)] + name


def check_done_file(name: str) -> None:
    """Check the name of a done-file.

    Raises:
        ValueError: it has another placeholder than those of a file, or names another folder.
    """
    if unknown := sorted(set(_PLACEHOLDER.findall(name)) - {"{name}", "{stem}", "{suffix}"}):
        raise ValueError(f"done_file: {unknown[0]} is no placeholder: write {{name}}, {{stem}}, {{suffix}}")
    if "/" in name:
        raise ValueError(f"done_file: {name!r} must be a name: done-files are beside their files")


def _matches(entry: FileEntry, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(entry.path if "/" in one else entry.name, one) for one in patterns)
