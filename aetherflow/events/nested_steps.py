"""Find the step of the flow that output belongs to: one may run inside another (`with_lock`).

Imports nothing of aetherflow.
"""

from __future__ import annotations

from collections.abc import Callable


def outer_step(step_id: str, is_known: Callable[[str], bool]) -> str:
    """Return the step of the flow with this id, or the one inside which it runs: `swap` for `swap.copy`.

    Ids of steps may have dots, so the longest part that is known counts; if none is, the id itself.
    """
    name = step_id
    while name and not is_known(name):
        name = name.rpartition(".")[0]
    return name or step_id
