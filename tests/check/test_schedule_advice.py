"""Warnings about scheduler files: what can never work is said before anybody waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.check.schedule_advice import advise_items
from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import check_schedule_file

FLOW = """
version: 1
flow: {id: f}
jobs:
- id: small
  steps: [{id: s, type: check_items, inputs: {items: [x]}, pool: wh}]
- id: large
  steps: [{id: s, type: check_items, inputs: {items: [x]}, pool: wh, slots: 2}]
"""
WEEK = "calendars: {c: {weekdays: [mon-fri]}}\n"


def warnings(folder: Path, items: str, head: str = "") -> list[str]:
    """Return the warnings about a file with these items, as place, code and message; there are no errors."""
    (folder / "flow.yaml").write_text(FLOW)
    lines = "".join(f"- {{{line}, flow_yaml: flow.yaml}}\n" for line in items.splitlines())
    path = folder / "scheduler.yaml"
    path.write_text(f"version: 1\n{head}items:\n{lines}")
    checked = check_schedule_file(path)
    advise_items(checked.schedule, checked.sink)
    check_item_flows(checked, {"AETHERFLOW_STATE_ROOT": str(folder)})
    assert not checked.sink.has_errors, checked.diagnostics
    return [f"{d.line}:{d.column} {d.severity} {d.code} {d.message}" for d in checked.diagnostics]


@pytest.mark.parametrize(
    ("item", "head", "expected"),
    [
        (
            "id: a, at: '2026-03-29T02:30', timezone: Europe/Rome, dst_gap: skip",
            "",
            (
                "3:11 warning AF213 item 'a' never fires: "
                "2026-03-29T02:30 never comes on the clocks of Europe/Rome"
            ),
        ),
        (
            "id: a, cron: '0 0 * * sat', calendar: c",
            WEEK,
            "4:32 warning AF213 item 'a' never fires: none of its ticks is on a date of the calendar 'c'",
        ),
        (
            "id: a, at: '2026-03-28T02:30', dst_gap: skip, calendar: c",
            WEEK,
            "4:50 warning AF213 item 'a' never fires: none of its ticks is on a date of the calendar 'c'",
        ),
        (
            "id: a, cron: '0 22 * * *', not_between: ['21:30-23:30']",
            "",
            "3:31 warning AF213 item 'a' never fires: all its ticks are in windows (not_between)",
        ),
        (
            "id: a, cron: '0 22 * * *', calendar: c, catch_up: latest",
            "calendars: {c: {not_between: ['00:00-12:00', '12:00-00:00']}}\n",
            "4:31 warning AF213 item 'a' never fires: its windows leave no time (not_between)",
        ),
    ],
)
def test_an_item_that_never_ticks(tmp_path: Path, item: str, head: str, expected: str) -> None:
    assert warnings(tmp_path, item, head) == [expected]


def test_an_item_that_follows_a_disabled_one(tmp_path: Path) -> None:
    (seen,) = warnings(tmp_path, "id: off, cron: '@daily', enabled: false\nid: b, after: [off]")
    assert seen.endswith("warning AF213 item 'b' never starts by itself: it follows 'off', which is disabled")


@pytest.mark.parametrize(
    ("times", "between"),
    [("cron: '*/5 * * * * *'", 5), ("interval_seconds: 5", 5), ("cron: '0 8,9 * * mon'", 3600)],
)
def test_jitter_that_reaches_the_next_tick(tmp_path: Path, times: str, between: int) -> None:
    (seen,) = warnings(tmp_path, f"id: a, {times}, jitter_seconds: {between}")
    assert (
        f"AF214 item 'a': jitter_seconds {between} may delay a tick up to the next one, {between} s" in seen
    )
    for more in (f"{between - 1}", f"{between}, coalesce: false", f"{between}, catch_up: all"):
        assert warnings(tmp_path, f"id: a, {times}, jitter_seconds: {more}") == []


def test_a_pool_that_is_too_small_for_a_step(tmp_path: Path) -> None:
    (seen,) = warnings(tmp_path, "id: a, cron: '@daily'", "pools: {wh: 1}\n")
    assert seen.endswith(
        "warning AF641 item 'a': step large.s of its flow wants 2 slots of the pool 'wh', which has 1"
    )
    assert warnings(tmp_path, "id: a, cron: '@daily', flow_job: small", "pools: {wh: 1}\n") == []
    assert warnings(tmp_path, "id: a, cron: '@daily'", "pools: {wh: 2}\n") == []
    assert warnings(tmp_path, "id: a, cron: '@daily'", "pools: {other: 1}\n") == []


def test_a_disabled_item_is_not_advised_about(tmp_path: Path) -> None:
    item = "id: a, interval_seconds: 5, jitter_seconds: 5, enabled: false"
    assert warnings(tmp_path, item) == []
