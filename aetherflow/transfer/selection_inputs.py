"""The inputs that select files: shared by `list_files` and every step that moves files. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from aetherflow.sdk.file_selection import FileSelection, Sort, ZeroByte
from aetherflow.spec.duration import parse_duration
from aetherflow.spec.flow import Seconds
from aetherflow.spec.size import parse_size

T = TypeVar("T")


class SelectionInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which files of a folder a step takes, and how many there must be.

    Attributes:
        pattern: one or several patterns such as `*.csv`, one of which must match.
        exclude: patterns of which none may match.
        recursive: whether files in folders below are taken too.
        min_count: fewer files than this: SKIPPED.
        max_count: at most so many are taken, the first ones in order.
        min_size: the smallest size, such as 1kB.
        max_size: the largest size, such as 10MB.
        modified_after: only what was changed after this instant (2026-01-31T22:00+01:00) or age (36h).
        modified_before: only what was changed before this instant or age.
        min_age_seconds: what was changed since then is left out: it may still be written.
        stable_for_seconds: what changes within this time is left out; the step waits so long.
        done_file: only files beside which such a file exists: `{name}.done`; `{stem}`, `{suffix}` too.
        zero_byte: whether empty files are taken, left out (skip), or an error (fail).
        sort: by name (the path below the folder), size or mtime.
        reverse: largest, latest or last first.
    """

    pattern: str | list[str] | None = "*"
    exclude: str | list[str] | None = None
    recursive: bool | None = False
    min_count: int | None = 1
    max_count: int | None = None
    min_size: int | str = 0
    max_size: int | str | None = None
    modified_after: str | None = None
    modified_before: str | None = None
    min_age_seconds: Seconds | None = None
    stable_for_seconds: Seconds | None = None
    done_file: str = ""
    zero_byte: ZeroByte = "take"
    sort: Sort = "name"
    reverse: bool = False

    def __post_init__(self) -> None:
        """Check the texts that are sizes and times.

        Raises:
            ValueError: one cannot be read.
        """
        self.selection(datetime.now(UTC))

    def selection(self, now: datetime) -> FileSelection:
        """Return the criteria, with ages as instants.

        Raises:
            ValueError: a text is no size or no time.
        """
        return FileSelection(
            patterns=_texts("*" if self.pattern is None else self.pattern),
            exclude=_texts(self.exclude or []),
            recursive=bool(self.recursive),
            min_bytes=parse_size(str(self.min_size)),
            max_bytes=None if self.max_size is None else parse_size(str(self.max_size)),
            min_age_seconds=self.min_age_seconds,
            modified_after=_given(lambda text: _instant(text, now), self.modified_after),
            modified_before=_given(lambda text: _instant(text, now), self.modified_before),
            done_file=self.done_file,
            zero_byte=self.zero_byte,
            max_count=self.max_count,
            sort=self.sort,
            reverse=self.reverse,
        )

    def too_few(self, count: int, folder: object) -> str:
        """Return why so many files are too few; empty if they are enough."""
        least = 1 if self.min_count is None else self.min_count
        found = "1 file" if count == 1 else f"{count} files"
        return "" if count >= least else f"{found} in {folder}, fewer than min_count {least}"

    def chosen_by(self) -> list[str]:
        """Return the inputs of the selection that differ from their defaults."""
        defaults = zip(SelectionInputs.__struct_fields__, SelectionInputs.__struct_defaults__, strict=True)
        return [name for name, default in defaults if getattr(self, name) not in (default, None)]


def _texts(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _given(read: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else read(text)


def _instant(text: str, now: datetime) -> datetime:
    """Read an instant, in UTC unless it has an offset, or an age; 20260131 is a date."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return _age(text, now)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _age(text: str, now: datetime) -> datetime:
    try:
        return now - timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise ValueError(f"{text!r} is too long ago") from None
    except ValueError:
        message = f"{text!r} is no instant and no age: write 2026-01-31T22:00:00+01:00, or 36h"
        raise ValueError(message) from None
