"""An oracle for catch-up: lists every tick of a downtime and judges each by the sentences of the policy."""

from __future__ import annotations

from typing import Literal

from aetherflow.schedule.catch_up import CatchUpPolicy

Verdict = Literal["run", "missed", "coalesced", "paused", "window"]


def due_prefix(ticks: list[tuple[int, int]], now: int) -> list[int]:
    """Return the ticks that are due of (tick, jitter): they fire in their order."""
    due = []
    for tick, late in ticks:
        if tick + late > now:
            break
        due.append(tick)
    return due


def verdicts(due: list[int], policy: CatchUpPolicy, jitter_seconds: int, now: int) -> dict[int, Verdict]:
    """Return what becomes of each due tick."""
    grace, window, most = (
        policy.misfire_grace_seconds,
        policy.catch_up_window_seconds,
        policy.catch_up_max,
    )
    in_time = [tick for tick in due if grace is None or now - tick <= grace + jitter_seconds]
    late = [tick for tick in due if tick not in set(in_time)]
    in_window = [tick for tick in late if window is None or now - tick <= window]
    found: dict[int, Verdict] = dict.fromkeys(due, "missed")
    if policy.catch_up == "all":
        found |= dict.fromkeys((in_window + in_time)[-most:], "run")
        return found
    if policy.catch_up == "latest":
        found |= dict.fromkeys(in_window, "coalesced")
    if policy.coalesce:
        found |= dict.fromkeys(in_time, "coalesced")
    candidates = in_window + in_time if policy.catch_up == "latest" else in_time
    if not policy.coalesce and in_time:
        found |= dict.fromkeys(in_time[-most:], "run")
    elif candidates:
        found[candidates[-1]] = "run"
    return found
