"""The ids of runs: which are allowed, and the folder name of each. Imports nothing of aetherflow.

Other schedulers name runs by their time, as `scheduled__2026-01-01T00:00:00+00:00`.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 128
_RUN_ID = re.compile(rf"[A-Za-z0-9._:+-]{{1,{MOST_CHARACTERS}}}")


def is_run_id(text: str) -> bool:
    """Whether a text can be the id of a run: no separators, and never `.` or `..`."""
    return _RUN_ID.fullmatch(text) is not None and bool(text.strip("."))


def folder_name(run_id: str) -> str:
    """Return the name of a run in paths and lists: `:` is written `=`, which no id has.

    A folder with a colon cannot be named in a `PATH`, in `docker run -v` or on a Windows share.
    """
    return run_id.replace(":", "=")
