"""Write the status of an item of a schedule in words: last and next firing, what runs, what went wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aetherflow.observe.event_text import duration
from aetherflow.observe.time_words import distance, in_zone
from aetherflow.scheduler.server_clocks import OFF_SECONDS
from aetherflow.server.scheduler_status import ItemStatus


def local_time(at: str | datetime, zone: str | None) -> str:
    """Return an instant to the second on the clocks of a zone, with its offset; UTC where none is known."""
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    return instant.astimezone(ZoneInfo(zone or "UTC")).isoformat(timespec="seconds")


def wrong_file(problem: str, *, is_served: bool = True) -> str:
    """Return what there is to say about a scheduler file that is wrong on the disk."""
    in_force = ", its last valid version is in force" if is_served else ""
    return f"the file is invalid now{in_force}: {problem}"


def item_words(item: ItemStatus, now: datetime) -> list[str]:
    """Return what there is to say about an item, the last firing first."""
    parts = _last(item, now)
    parts += [f"{one.kind}: {in_zone(one.message, item.zone or 'UTC')}" for one in item.alerts]
    parts += _past(item, now)
    without = {True: "no next firing", False: "disabled", None: "next not known"}[item.enabled]
    if item.at_boot and item.enabled:
        without = "at the next boot"
    elif item.paused is not None and item.enabled:
        without = "no next firing before it is resumed"
    parts.append(f"next {_when(item.next, item, now)}{_held(item)}" if item.next else without)
    parts += [f"due since {_when(item.due_since, item, now)}, not decided yet"] if item.due_since else []
    parts += [f"running since {_when(item.running_since, item, now)}"] if item.running_since else []
    for number, what in ((item.running, "running"), (item.queued, "queued"), (item.waiting, "waiting")):
        parts += [f"{number} {what}"] if number else []
    parts += [f"cannot run: {item.problem}"] if item.problem else []
    if item.paused is not None:
        until = f" until {_when(item.paused.until, item, now)}" if item.paused.until else ""
        since = local_time(item.paused.since, item.zone)
        parts.append(f"paused since {since}{until} by {item.paused.by}: {item.paused.reason}")
    if item.window is not None:
        end = item.window.until
        until = f"until {_when(end, item, now)}" if end else "at all times, since its windows leave none"
        parts.append(f"in {item.window.window} {until}")
    return parts


def _held(item: ItemStatus) -> str:
    """Return what the next tick waits for, as the item catches up."""
    at = datetime.fromisoformat(item.next or "")
    held = (("pause", item.paused), ("window", item.window))
    what = [
        name
        for name, one in held
        if one is not None and (one.until is None or at < datetime.fromisoformat(one.until))
    ]
    return f", decided after the {' and the '.join(what)}" if what else ""


def _last(item: ItemStatus, now: datetime) -> list[str]:
    if item.last is None:
        return ["never fired"]
    at = datetime.fromisoformat(item.last)
    ahead = f" ({distance(at, now)}: a clock was ahead)" if at > now + timedelta(seconds=OFF_SECONDS) else ""
    parts = [f"last {local_time(at, item.zone)}{ahead} {item.outcome}"]
    parts += [f"run {item.run_id}"] if item.run_id else []
    parts += [in_zone(item.reason, item.zone or "UTC")] if item.reason else []
    has_begun = item.outcome not in ("SKIPPED", "MISSED", "WAITING", "QUEUED")
    parts += [f"lag {duration(item.lag_seconds)}"] if has_begun and item.lag_seconds is not None else []
    return parts


def _past(item: ItemStatus, now: datetime) -> list[str]:
    """Return the last success and the last problem, where the last firing is not that one."""
    parts = []
    if item.last is not None and item.last_success != item.last:
        parts.append(
            f"last success {_when(item.last_success, item, now)}" if item.last_success else "never succeeded"
        )
    if item.last_problem is not None and item.last_problem != item.last:
        why = f": {in_zone(item.problem_reason, item.zone or 'UTC')}" if item.problem_reason else ""
        parts.append(f"last {item.problem_outcome} {_when(item.last_problem, item, now)}{why}")
    return parts


def _when(at: str, item: ItemStatus, now: datetime) -> str:
    return f"{local_time(at, item.zone)} ({distance(datetime.fromisoformat(at), now)})"
