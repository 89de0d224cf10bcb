"""Check what every flow on this machine needs: settings, clock, time zones, the folder of the state."""

from __future__ import annotations

import os
import re
import shutil
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aetherflow
from aetherflow.config.environment import Environment
from aetherflow.config.metrics_module import load_metrics
from aetherflow.config.profiles import configured_profiles
from aetherflow.config.settings import unknown_variables
from aetherflow.errors import AetherFlowError, StateUnusable
from aetherflow.registry import observer_class
from aetherflow.sdk.checks import CheckResult, free_space_check
from aetherflow.shared_environment import installed_old_packages, repair, sentence
from aetherflow.store.filesystem import refuse_network
from aetherflow.store.integrity import check_integrity
from aetherflow.store.old_database import old_beside
from aetherflow.store.sqlite_errors import explain_integrity, is_mounted_read_only

DOCTOR_SECONDS = 5.0
"""How long the check of the state database for damage may take."""

CLOCK_TOLERANCE = timedelta(minutes=5)
NewestTime = Callable[[Path], datetime | None]
"""Reads the latest time that a state database knows (`StateQueries.newest_time`)."""

A_ZONE = "Europe/Berlin"
"""A zone with daylight saving time, which a machine without the database of zones does not have."""

_POSIX_RULE = re.compile(r"([A-Za-z]{3,}|<[^>]+>)[+-]?\d")
"""A zone that says its offset itself, as `CET-1CEST`: it needs no name."""


def machine_results(environment: Environment, *, now: datetime | None = None) -> list[CheckResult]:
    """Look at what does not depend on a flow, but for the state; see `state_findings`."""
    results: list[CheckResult] = []
    for name, meant in unknown_variables(environment.variables):
        hint = f"did you mean {meant}?" if meant else "aetherflow help settings lists the settings"
        results.append(CheckResult("settings", "warning", f"{name} is no setting and has no effect", hint))
    settings = environment.settings
    if settings.profiles_file or settings.profiles_json:
        results.append(
            _as_result("profiles", lambda: ", ".join(sorted(configured_profiles(settings) or ())) or "none")
        )
    if environment.secrets is not None:
        results.append(CheckResult("secrets provider", "ok", environment.secrets.source.origin))
    if module := settings.metrics_module:
        results.append(
            _as_result("metrics module", lambda: f"{module}, {type(load_metrics(module)).__name__}")
        )
    results += [_as_result(f"observer {name}", partial(_observer, name)) for name in settings.observers]
    if old := installed_old_packages():
        results.append(CheckResult("installation", "error", sentence(old), f"repair it: {repair()}"))
    return [*results, _clock(now or datetime.now(UTC)), _zones(environment)]


def state_results(path: Path, newest_time: NewestTime, *, now: datetime | None = None) -> list[CheckResult]:
    """Check whether the state database can be there, can be read, and is not from the future."""
    if (refused := _not_usable(path)) is not None:
        return [refused]
    newest, remark = None, "" if path.exists() else " can be made"
    try:
        refuse_network(path)
        if path.exists() and path.stat().st_size:
            newest = newest_time(path)
            found = check_integrity(path, DOCTOR_SECONDS)
            if found.verdict in ("damaged", "unreadable"):
                what, hint = explain_integrity(found)
                return [CheckResult("state", "error", f"{path}: {what}", hint)]
            remark = f" (not checked for damage: {found.detail})" if found.verdict == "unknown" else ""
    except AetherFlowError as error:
        message = f"{path}: {error.message}" if isinstance(error, StateUnusable) else error.message
        return [CheckResult("state", "error", message, error.hint)]
    results = [CheckResult("state", "ok", f"{path}{remark}{_beside(path)}")]
    space = free_space_check(shutil.disk_usage(_nearest(path.parent)).free, "for the state")
    if space.state != "ok":
        results.append(CheckResult("state", space.state, space.message, space.hint))
    if newest and (ahead := newest - (now or datetime.now(UTC))) > CLOCK_TOLERANCE:
        message = f"it is behind the newest run in {path} by {_roughly(ahead)}"
        results.append(CheckResult("clock", "warning", message, "set the clock (NTP); firings depend on it"))
    return results


def _beside(path: Path) -> str:
    old = old_beside(path)
    return f", beside {old} of AetherFlow 0.0" if old else ""


def _not_usable(path: Path) -> CheckResult | None:
    """Return why a state database cannot be there or cannot be written."""
    if os.access(path, os.F_OK):  # it is there, and its folder may be entered
        if path.is_dir():
            return CheckResult("state", "error", f"{path} is a folder, and should be a file")
        if is_mounted_read_only(path):
            message = f"{path} cannot be written: its file system is mounted read-only"
            hint = (
                "mount it for writing; a disk that fails is mounted read-only: look at the system log (dmesg)"
            )
            return CheckResult("state", "error", message, hint)
        if not os.access(path, os.R_OK | os.W_OK):
            message = f"{path} cannot be read and written"
            return CheckResult("state", "error", message, "give read and write permission")
    folder = folder_result("state", path.parent)
    return None if folder.state == "ok" else folder


def folder_result(subject: str, directory: Path) -> CheckResult:
    """Say whether a folder exists, or could be made, and can be written."""
    nearest = _nearest(directory)
    if not nearest.is_dir():
        return CheckResult(subject, "error", f"{nearest} is a file, and {directory} should be a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        hint = f"give write permission, or choose another place for the {subject}"
        return CheckResult(subject, "error", f"{nearest} cannot be written", hint)
    return CheckResult(subject, "ok", f"{directory}{'' if nearest == directory else ' can be made'}")


def _nearest(directory: Path) -> Path:
    """Return the folder, or its nearest parent that exists and is visible."""
    found = (path for path in (directory, *directory.parents) if os.access(path, os.F_OK))
    return next(found, Path("/"))


def _clock(now: datetime) -> CheckResult:
    """Compare the clock with the files of this package, which cannot be younger than now."""
    local = now.astimezone()
    shown = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    shown += "" if local.tzname() == "UTC" else f" (UTC{local:%z})"
    installed = datetime.fromtimestamp(Path(aetherflow.__file__).stat().st_mtime, UTC)
    if installed - now > CLOCK_TOLERANCE:
        message = f"{shown}: aetherflow was installed {_roughly(installed - now)} later than that"
        return CheckResult("clock", "warning", message, "set the clock (NTP); firings depend on it")
    return CheckResult("clock", "ok", shown)


def _zones(environment: Environment) -> CheckResult:
    try:
        zoneinfo.ZoneInfo(A_ZONE)
    except zoneinfo.ZoneInfoNotFoundError:
        message = "the database of time zones is missing"
        return CheckResult(
            "time zones", "error", message, "install tzdata (the system's, or pip install tzdata)"
        )
    zone = environment.variables.get("TZ", "").lstrip(":")
    if zone and not zone.startswith("/") and not _POSIX_RULE.match(zone):
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            message = f"TZ is {zone!r}, which is no name of a zone: the system may take it for UTC"
            return CheckResult("time zones", "warning", message, f"set TZ to a name such as {A_ZONE}")
    return CheckResult("time zones", "ok", f"{len(zoneinfo.available_timezones())} zones{_zones_version()}")


def _zones_version() -> str:
    for folder in zoneinfo.TZPATH:
        file = Path(folder) / "tzdata.zi"
        try:
            with file.open(encoding="ascii") as text:
                first = text.readline().split()
        except (OSError, UnicodeDecodeError):
            continue
        if first[:2] == ["#", "version"]:
            return f", version {first[2]}"
    return ""


def _roughly(span: timedelta) -> str:
    if span >= timedelta(days=2):
        return f"{span.days} days"
    minutes = round(span / timedelta(minutes=1))
    return f"{minutes // 60} h" if span >= timedelta(hours=2) else f"{minutes} min"


def _observer(name: str) -> str:
    found = observer_class(name)
    return f"{found.__module__}.{getattr(found, '__qualname__', name)}"


def _as_result(subject: str, look: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(subject, "ok", look())
    except AetherFlowError as error:
        return CheckResult(subject, "error", error.message, error.hint)
