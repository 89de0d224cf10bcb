"""The inputs that select files: shared by `list_files` and every step that moves files. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from aetherflow.sdk.file_selection import FileSelection, Sort, ZeroByte, check_done_file
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
    max_count: Annotated[int, Meta(ge=1)] | None = None
    min_size: int | str | None = 0
    max_size: int | str | None = None
    modified_after: str | None = None
    modified_before: str | None = None
    min_age_seconds: Seconds | None = None
    stable_for_seconds: Seconds | None = None
    done_file: str | None = ""
    zero_byte: ZeroByte | None = "take"
    sort: Sort | None = "name"
    reverse: bool | None = False

    def __post_init__(self) -> None:
        """Check what the types do not say.

        Raises:
            ValueError: a text is no size, no time or no name, or two limits leave nothing.
        """
        selection = self.selection(datetime.now(UTC))
        check_done_file(selection.done_file)
        if self.max_count is not None and self.max_count < (1 if self.min_count is None else self.min_count):
            raise ValueError(
                f"max_count {self.max_count} is less than min_count: the step would always be SKIPPED"
            )
        if selection.max_bytes is not None and selection.max_bytes < selection.min_bytes:
            raise ValueError("max_size is less than min_size: no file can match")

    def selection(self, now: datetime) -> FileSelection:
        """Return the criteria, with ages as instants.

        Raises:
            ValueError: a text is no size or no time.
        """
        return FileSelection(
            patterns=_texts("*" if self.pattern is None else self.pattern),
            exclude=_texts(self.exclude or []),
            recursive=bool(self.recursive),
            min_bytes=_named("min_size", parse_size, str(self.min_size or 0)),
            max_bytes=None if self.max_size is None else _named("max_size", parse_size, str(self.max_size)),
            min_age_seconds=self.min_age_seconds,
            modified_after=_time("modified_after", self.modified_after, now),
            modified_before=_time("modified_before", self.modified_before, now),
            done_file=self.done_file or "",
            zero_byte=self.zero_byte or "take",
            max_count=self.max_count,
            sort=self.sort or "name",
            reverse=bool(self.reverse),
        )

    def too_few(self, count: int, folder: object) -> str:
        """Return why so many files are too few; empty if they are enough."""
        least = 1 if self.min_count is None else self.min_count
        matching = "matching " if set(self.chosen_by()) - {"min_count", "recursive"} else ""
        found = f"{count} {matching}file{'' if count == 1 else 's'}"
        return "" if count >= least else f"{found} in {folder}, fewer than min_count {least}"

    def chosen_by(self) -> list[str]:
        """Return the inputs of the selection that differ from their defaults."""
        defaults = zip(SelectionInputs.__struct_fields__, SelectionInputs.__struct_defaults__, strict=True)
        return [name for name, default in defaults if getattr(self, name) not in (default, None)]


def _texts(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _named(name: str, read: Callable[[str], T], text: str) -> T:
    """Read the text of an input; what is wrong with it names the input."""
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _time(name: str, text: str | None, now: datetime) -> datetime | None:
    return None if text is None else _named(name, lambda given: _instant(given, now), text)


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
