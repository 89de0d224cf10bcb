"""Say that a state database is made beside one of AetherFlow 0.0; refuse to begin what 0.0 had begun."""

from __future__ import annotations

from pathlib import Path

from aetherflow.errors import UsageError
from aetherflow.store.old_database import ended_steps, old_beside

MOST_NAMED = 5


def adoption_sentence(old: Path, state: Path) -> str:
    """Return the notice that a new database was made, and where the old one is."""
    return (
        f"{old} is a state database of AetherFlow 0.0 and stays as it is; "
        f"runs are stored in {state} from now on"
    )


def refuse_begun_before(run_id: str, state: Path) -> None:
    """Refuse a new run under the id of a run of 0.0 that had done something: all of it would run again.

    Raises:
        UsageError: the run is in the database of 0.0.
    """
    old = old_beside(state)
    done = ended_steps(old, run_id) if old else []
    if done:
        more = f" and {len(done) - MOST_NAMED} more" if len(done) > MOST_NAMED else ""
        raise UsageError(
            f"run {run_id} was begun by AetherFlow 0.0, which has done {', '.join(done[:MOST_NAMED])}{more}; "
            f"{old} has no outputs, so the run cannot be resumed",
            hint="let 0.0 end it, or give another --run-id, under which every step runs",
            code="AF187",
        )
