"""Stop a report that would become too large, before anything is written."""

from __future__ import annotations

from aetherflow import StepError


def check_most(target: str, what: str, count: int, key: str, most: int | None) -> None:
    """Check a guard of a target, such as max_rows.

    Raises:
        StepError: there are more than it allows (AF969).
    """
    if most is not None and count > most:
        raise StepError(
            f"target {target!r} has {count:,} {what}, more than {key}: {most:,}",
            hint=f"select less, or raise {key}",
            code="AF969",
            detail={"target": target, "count": count, key: most},
        )


def too_large(target: str, count: int, threshold: int) -> StepError:
    """Return the error for a region with more rows than its threshold."""
    return StepError(
        f"the report is too large: target {target!r} has {count:,} rows, and its rows_threshold is"
        f" {threshold:,}",
        hint="put the data on a sheet of their own (mode: data_sheet), or raise rows_threshold",
        code="AF970",
        detail={"target": target, "count": count, "threshold": threshold},
    )
