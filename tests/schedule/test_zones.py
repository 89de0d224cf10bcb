"""Zones: every transition of the database is found, and one that is missing is reported."""

from __future__ import annotations

import importlib.resources
import struct
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.zone import EPOCH, Zone, instant, load_zone, seconds

SINCE, UNTIL = (seconds(datetime(year, 1, 1, tzinfo=UTC)) for year in (2000, 2038))


def raw(name: str) -> bytes:
    """Return the file that zoneinfo reads for a zone."""
    for folder in zoneinfo.TZPATH:
        if (file := Path(folder, name)).is_file():
            return file.read_bytes()
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def written_changes(name: str) -> set[int]:
    """Return when a zone changes its offset, as its file (RFC 9636, version 2 or later) has it."""
    data = raw(name)
    sizes = struct.unpack(">6l", data[20:44])
    start = 44 + sizes[3] * 5 + sizes[4] * 6 + sizes[5] + sizes[2] * 8 + sizes[1] + sizes[0] + 44
    _, _, _, times, types, _ = struct.unpack(">6l", data[start - 24 : start])
    instants = struct.unpack(f">{times}q", data[start : start + 8 * times])
    kinds = data[start + 8 * times : start + 9 * times]
    first = start + 9 * times
    offsets = [struct.unpack(">l", data[first + 6 * i : first + 6 * i + 4])[0] for i in range(types)]
    found, before = set(), offsets[0]
    for at, kind in zip(instants, kinds, strict=True):
        if offsets[kind] != before:
            found.add(at)
        before = offsets[kind]
    return {at for at in found if SINCE < at < UNTIL}


def found_changes(zone: Zone) -> set[int]:
    """Return when a zone changes its offset, as its periods have it."""
    found, at = set(), SINCE
    while at < UNTIL:
        period = zone.period(at)
        if period.before != period.offset:
            found.add(period.start)
        at = period.end
    return {at for at in found if SINCE < at < UNTIL}


def test_every_written_transition_is_found() -> None:
    names = sorted(zoneinfo.available_timezones() - {"localtime"})
    assert len(names) > 400
    total = 0
    for name in names[::6]:  # the sweeps against brute force look at all of them
        written, found = written_changes(name), found_changes(Zone(zoneinfo.ZoneInfo(name)))
        assert written <= found, name
        # a slim file leaves out what follows from its rule; zoneinfo knows it
        assert all(is_change(name, at) for at in found - written), name
        total += len(written)
    assert total > 500


def is_change(name: str, at: int) -> bool:
    zone = zoneinfo.ZoneInfo(name)
    return instant(at).astimezone(zone).utcoffset() != instant(at - 1).astimezone(zone).utcoffset()


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "", "../../etc/passwd", "/etc/localtime", "Europe", "x" * 5000, "a\0b"]
)
def test_a_zone_that_does_not_exist(name: str) -> None:
    with pytest.raises(ScheduleProblem, match="is not known") as caught:
        load_zone(name)
    assert caught.value.code == "AF152"
    assert caught.value.hint == "did you mean 'Europe/Berlin'?" or name != "Europe/Berln"


def test_a_machine_without_any_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(key: str) -> zoneinfo.ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr("aetherflow.schedule.zone.ZoneInfo", nothing)
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    with pytest.raises(ScheduleProblem, match="this machine has no time zone database") as caught:
        load_zone("Mars/Olympus")
    assert caught.value.hint == "pip install tzdata, or install the system's package tzdata"


def test_zones_are_values() -> None:
    assert load_zone("Europe/Berlin") is load_zone("Europe/Berlin")
    other = Zone(zoneinfo.ZoneInfo("Europe/Berlin"))
    assert other == load_zone("Europe/Berlin") != load_zone("Europe/Paris")
    assert len({other, load_zone("Europe/Berlin")}) == 1
    assert repr(other) == "Zone('Europe/Berlin')"


def test_instants_and_seconds() -> None:
    at = datetime(2027, 3, 28, 0, 59, 59, 999999, tzinfo=UTC)
    assert instant(seconds(at)) == at.replace(microsecond=0)
    assert seconds(EPOCH.replace(year=1969)) < 0
