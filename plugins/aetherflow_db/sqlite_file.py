"""Prepare the file of a SQLite database: create its folder, check permissions and free space."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aetherflow import CheckResult, checks
from aetherflow_db.failures import connection_failed

MEMORY = ":memory:"
URI_PREFIX = "file:"
_FILE_URL = re.compile(r"((?:sqlite|duckdb)(?:\+\w+)?:///)([^?]*)(\?.*|)", re.DOTALL)
"""The URL of a database that is a file, as SQLAlchemy spells it: scheme, file, query."""


def absolute_database(key: str, value: Any, absolute: Callable[[str, str], str]) -> Any:
    """Return a value of a config with the file that it names made absolute: a path, or the URL of a file."""
    if not isinstance(value, str):
        return value
    scheme, file, query = "", value, ""
    if key == "url":
        found = _FILE_URL.fullmatch(value)
        if found is None:
            return value
        scheme, file, query = found.groups()
    if file in {"", MEMORY} or file.startswith(URI_PREFIX):
        return value
    return f"{scheme}{absolute(key, file)}{query}"


def make_folder(resource: str, database: str, *, read_only: bool = False) -> None:
    """Make the folder of a SQLite file, if there is to be a file.

    A `file:` URI is not touched: its `mode` says whether the file may be created.

    Raises:
        StepError: the folder cannot be made, or the file is only read and does not exist.
    """
    if database in {"", MEMORY} or database.startswith(URI_PREFIX):
        return
    if read_only and not Path(database).exists():  # SQLite would make an empty one
        absent = FileNotFoundError("it does not exist, and read_only does not make it")
        raise connection_failed(resource, f"the SQLite file {database}", absent)
    folder = Path(database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise connection_failed(resource, f"the folder {folder}", error) from error


def file_checks(database: str) -> list[CheckResult]:
    """Check the rights and free space of a SQLite file, which need not exist."""
    if database in {"", MEMORY} or database.startswith(URI_PREFIX):
        return []
    file = Path(database)
    folder = file.parent
    found = [_write_check(file)] if file.exists() else [_absent(file)]
    if folder.exists():
        found.append(checks.free_space_check(shutil.disk_usage(folder).free, f"in {folder.absolute()}"))
    return found


def _absent(file: Path) -> CheckResult:
    message = f"{file} does not exist; the first statement makes an empty database"
    return CheckResult("file", "warning", message, "check the path, if there should be data")


def _write_check(file: Path) -> CheckResult:
    if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK):
        return CheckResult("write", "ok", "the file can be written")
    return CheckResult("write", "ok", "the file can only be read")
