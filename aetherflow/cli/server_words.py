"""Write the status of a server in words, on one line."""

from __future__ import annotations

from datetime import datetime, timedelta

from aetherflow.cli.item_words import local_time
from aetherflow.observe.time_words import distance, rough_duration
from aetherflow.scheduler.server_clocks import OFF_SECONDS
from aetherflow.server.server_status import ServerStatus


def server_words(server: ServerStatus, zone: str | None, now: datetime) -> str:
    """Return what there is to say about a server; its start is written in a zone."""
    began = datetime.fromisoformat(server.since)
    was_ahead = began > now + timedelta(seconds=OFF_SECONDS)
    how_long = "by a clock that was ahead" if was_ahead else distance(began, now)
    since = f"{local_time(server.since, zone)} ({how_long})"
    parts = [_state(server, zone, now), f"{server.owner} since {since}"]
    parts += [f"version {server.version}"] if server.version else []
    parts += [clock_words(server.clock_ahead_seconds)] if server.clock_ahead_seconds is not None else []
    return ", ".join(parts)


def clock_words(ahead_seconds: float) -> str:
    """Return how a clock differs from those of other servers."""
    away = abs(ahead_seconds)
    if away <= OFF_SECONDS:
        return f"clock agrees ({ahead_seconds:+.1f} s)"
    return f"clock {rough_duration(away)} {'ahead' if ahead_seconds > 0 else 'behind'}"


def _state(server: ServerStatus, zone: str | None, now: datetime) -> str:
    match server.state:
        case "active":
            return "active"
        case "standby":
            return f"standby: {server.standby}"
        case "stopping":
            until = datetime.fromisoformat(server.drains_until or server.since)
            if until <= now:
                return "stopping: the time of its runs is over"
            return f"stopping: its runs may take until {local_time(until, zone)} ({distance(until, now)})"
        case "silent":
            return "silent: it has not renewed its lease"
        case "dead":
            return "dead: its process has ended"
