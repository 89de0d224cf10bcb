"""Say where types were looked for, for the error about one that is not known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aetherflow.spec.project import PROJECT_FILE, STEPS_FOLDER


def searched_places(paths: Sequence[Path], own: Sequence[Path]) -> str:
    """Return what was searched beside what ships and what is installed.

    Args:
        paths: the plugin paths.
        own: the `steps` folders of projects.
    """
    listed = ", ".join(map(_shown, (*paths, *own)))
    missing = [
        *(() if paths else ("AETHERFLOW_PLUGIN_PATHS is not set",)),
        *(() if own else (f"there is no {PROJECT_FILE}, whose folder {STEPS_FOLDER}/ could have it",)),
    ]
    places = ", ".join(filter(None, ("AetherFlow", "the installed packages", listed)))
    return f"{places} ({'; '.join(missing)})" if missing else places


def _shown(path: Path) -> str:
    return str(path) if os.path.exists(path) else f"{path} (does not exist)"  # noqa: PTH110 - may not be entered
