"""Store how the last sync of a bundle ended, for `bundle status`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aetherflow.file_access import FileAccess
from aetherflow.sdk.files import write_whole


class SyncReport(msgspec.Struct, frozen=True):
    """A sync that has ended.

    Attributes:
        at: when, RFC 3339.
        switched: whether another snapshot became active.
        other_source: whether the previous sync used another source, so every file was read.
        error: what went wrong; empty if nothing did.
    """

    at: str
    fingerprint: str = ""
    files: int = 0
    size: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    switched: bool = False
    other_source: bool = False
    code: str = ""
    error: str = ""


def write_report(path: Path, report: SyncReport, access: FileAccess) -> None:
    """Replace the report."""
    write_whole(path, msgspec.json.encode(report), access)


_reports = msgspec.json.Decoder(SyncReport)  # made here: two threads must not meet a type at once


def read_report(path: Path) -> SyncReport | None:
    """Return the report; None if no sync has ended yet."""
    try:
        return _reports.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
