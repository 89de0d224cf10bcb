"""A SQLite database's folder: made when it is missing, as SQLite makes the file."""

from __future__ import annotations

from pathlib import Path

from aetherflow_db.failures import connection_failed

MEMORY = ":memory:"
URI_PREFIX = "file:"


def make_folder(resource: str, database: str) -> None:
    """Make the folder of a SQLite file, relative to the working directory, if there is to be a file.

    A `file:` URI is left alone: whoever writes one says by its `mode` what may be made.

    Raises:
        StepError: the folder cannot be made.
    """
    if database in {"", MEMORY} or database.startswith(URI_PREFIX):
        return
    folder = Path(database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise connection_failed(resource, f"the folder {folder}", error) from error
