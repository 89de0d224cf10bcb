"""The real command, but a sync of a bundle kills itself at the k-th passage of a named point.

Production code knows nothing of this: the functions around each point are wrapped from outside.
Arguments: POINT K, then those of `aetherflow`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from aetherflow.__main__ import main
from aetherflow.bundle import object_store as objects
from aetherflow.bundle import snapshot, sync
from aetherflow.bundle.sync_index import Entry
from tests.torture.dying_command import Counter

POINTS: dict[str, tuple[ModuleType, str, bool]] = {
    # name: where it is called, what is called, whether the process dies before it or after it
    "before-index": (sync, "write_index", True),
    "after-index": (sync, "write_index", False),
    "file-linked": (snapshot, "_link", False),
    "folder-synced": (snapshot, "sync_folder", False),
    "before-tree": (sync, "build", True),
    "after-tree": (sync, "build", False),
    "before-switch": (sync, "activate", True),
    "after-switch": (sync, "activate", False),
    "old-renamed": (snapshot, "_remove_tree", True),
    "before-objects-go": (sync, "remove_unused", True),
    "before-report": (sync, "write_report", True),
}


def arm(point: str, count: int) -> None:
    """Let this process die at the count-th passage of a point."""
    pass_point = Counter(count)
    if point in ("object-written", "object-named"):
        die_around_naming(pass_point, before=point == "object-written")
        return
    module, name, before = POINTS[point]
    wrapped = getattr(module, name)

    def dying(*given: Any, **named: Any) -> Any:
        if before:
            pass_point()
        result = wrapped(*given, **named)
        if not before:
            pass_point()
        return result

    setattr(module, name, dying)


def die_around_naming(pass_point: Callable[[], None], *, before: bool) -> None:
    """Wrap the moment in which a file that was read gets the name of its object."""
    take = objects.ObjectStore.take

    def dying(self: objects.ObjectStore, temporary: Path, entry: Entry) -> None:
        if before:
            pass_point()
        take(self, temporary, entry)
        if not before:
            pass_point()

    objects.ObjectStore.take = dying  # type: ignore[method-assign]  # a failpoint


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["aetherflow", *sys.argv[3:]]
    main()
