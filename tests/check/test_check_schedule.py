"""Scheduler files: everything that is wrong with one is reported at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.schedule.cron import Cron
from aetherflow.schedule.item import Changes, changes
from aetherflow.schedule.trigger import Interval, Moment
from aetherflow.server.schedule_files import check_schedule_file, load_schedule
from aetherflow.spec.schedule_file import is_schedule_file


def written(folder: Path, text: str) -> Path:
    """Write a scheduler file, and a flow beside it."""
    (folder / "flow.yaml").write_text("version: 1\n")
    path = folder / "scheduler.yaml"
    path.write_text(text)
    return path


def reported(path: Path) -> list[str]:
    """Return what is wrong, as place, code and message."""
    try:
        found = check_schedule_file(path).diagnostics
    except InvalidInput as error:
        found = list(error.diagnostics)
    return [f"{d.line}:{d.column} {d.code} {d.message}" for d in found]


def test_a_file_says_when_what_runs(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
version: 1
timezone: Europe/Berlin
calendars:
  banking: {weekdays: [mon-fri], exclude: ["2026-12-25"], working_day: last}
items:
  - {id: a, cron: "*/5 * * * *", flow_yaml: flow.yaml, jitter_seconds: 10, calendar: banking}
  - {id: b, interval_seconds: 30, timezone: UTC, flow_yaml: flow.yaml, overlap: queue, enabled: false}
  - {id: c, at: "2026-12-24T18:00", flow_yaml: flow.yaml, flow_job: probe, params: {day: "2026-01-01"}}
  - {id: d, after: [a, c], flow_yaml: flow.yaml, catch_up: all, catch_up_window: 3600}
""",
    )
    schedule = load_schedule(path)
    assert schedule.id == str(path)
    a, b, c, d = schedule.items.values()
    assert isinstance(a.table.trigger, Cron)
    assert isinstance(b.table.trigger, Interval)
    assert isinstance(c.table.trigger, Moment)
    assert (a.zone, b.zone, a.table.jitter_seconds) == ("Europe/Berlin", "UTC", 10)
    assert a.table.calendar is not None
    assert a.table.calendar.working_day == -1
    assert (d.policy.catch_up, d.policy.catch_up_window_seconds) == ("all", 3600)
    assert a.flow_file == tmp_path / "flow.yaml"
    assert [item.id for item in schedule.enabled] == ["a", "c", "d"]


def test_a_file_may_give_itself_a_name(tmp_path: Path) -> None:
    path = written(
        tmp_path, "version: 1\nid: night\nitems: [{id: a, cron: '@daily', flow_yaml: flow.yaml}]\n"
    )
    assert load_schedule(path).id == "night"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("items: []", ["2:1 AF112 missing key 'version'", "2:1 AF113"]),
        ("version: 1\nitems:\n- {id: a, flow_yaml: flow.yaml}", ["4:3 AF200 item 'a' does not say when"]),
        (
            "version: 1\nitems:\n- {id: a, cron: '* * * *', at: x, flow_yaml: flow.yaml}",
            ["4:28 AF200 item 'a' has cron and at"],
        ),
        ("version: 1\nitems:\n- {id: a, cron: '@daily'}", ["4:3 AF202 item 'a' does not say what to run"]),
        (
            "version: 1\nitems:\n- {id: a, cron: '0 25 * * *', flow_yaml: no.yaml, calendar: x}",
            ["4:20 AF150", "4:31 AF203 item 'a': there is no file 'no.yaml'", "4:51 AF201"],
        ),
        (
            (
                "version: 1\ntimezone: Europe/Brlin\nitems:\n"
                "- {id: a, cron: '@daily', flow_yaml: flow.yaml}\n"
                "- {id: b, cron: '@daily', flow_yaml: flow.yaml}"
            ),
            ["3:11 AF152"],
        ),
        (
            (
                "version: 1\nitems:\n- {id: a, cron: '@daily', flow_yaml: flow.yaml, after: [b, d]}\n"
                "- {id: b, after: [c], flow_yaml: flow.yaml}\n- {id: c, after: [b], flow_yaml: flow.yaml}"
            ),
            [
                "4:60 AF204 item 'a' follows 'd', which does not exist",
                "5:11 AF205 items wait for each other: b -> c -> b",
            ],
        ),
        (
            (
                "version: 1\nitems:\n- {id: a, cron: '@daily', flow_yaml: flow.yaml, overlapp: skip}\n"
                "- {id: a, cron: '@daily', flow_yaml: flow.yaml}"
            ),
            ["4:49 AF111 unknown key 'overlapp' in an item", "5:4 AF120 duplicate item id 'a'"],
        ),
        (
            (
                "version: 1\ncalendars: {c: {exclude: ['2026-02-30'], weekdays: [mo]}}\n"
                "items:\n- {id: a, cron: '@daily', flow_yaml: flow.yaml, calendar: c}"
            ),
            ["3:13 AF153", "3:27 AF201 there is no date '2026-02-30'"],
        ),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = reported(written(tmp_path, f"# first line\n{text}\n"))
    assert len(found) == len(expected), found
    for one, beginning in zip(found, expected, strict=True):
        assert one.startswith(beginning), found


@pytest.mark.parametrize("name", ["9" * 5000, "a\\0b"], ids=["long", "NUL"])
def test_what_no_file_can_be_called_is_no_file(tmp_path: Path, name: str) -> None:
    (found,) = reported(
        written(tmp_path, f'version: 1\nitems: [{{id: a, cron: "@daily", flow_yaml: "{name}"}}]\n')
    )
    assert found.startswith("2:33 AF203 item 'a': there is no file ")


@pytest.mark.parametrize(("name", "code"), [("~no_such_user/f.yaml", "AF140"), ("$FLOWS/f.yaml", "AF141")])
def test_a_path_that_nobody_can_resolve_is_named(tmp_path: Path, name: str, code: str) -> None:
    (found,) = reported(
        written(tmp_path, f'version: 1\nitems: [{{id: a, cron: "@daily", flow_yaml: "{name}"}}]\n')
    )
    assert found.startswith(f"2:33 {code} the path {name!r}")


def test_a_flow_is_found_beside_the_file_then_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops").mkdir()
    path = tmp_path / "ops" / "scheduler.yaml"
    path.write_text("version: 1\nitems: [{id: a, cron: '@daily', flow_yaml: flows/f.yaml}]\n")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "f.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert load_schedule(path).items["a"].flow_file == tmp_path / "flows" / "f.yaml"
    (tmp_path / "ops" / "flows").mkdir()
    (tmp_path / "ops" / "flows" / "f.yaml").write_text("")
    assert load_schedule(path).items["a"].flow_file == tmp_path / "ops" / "flows" / "f.yaml"


def test_what_has_changed_is_reported_and_only_when_it_ticks_counts_for_its_past(tmp_path: Path) -> None:
    head = "version: 1\nid: night\nitems:\n"

    def line(name: str, cron: str, more: str = "") -> str:
        return f"- {{id: {name}, cron: '{cron}', flow_yaml: flow.yaml{more}}}\n"

    before = line("a", "@daily") + line("b", "@daily") + line("c", "@daily")
    after = line("a", "@daily", ", priority: 3") + line("b", "@hourly") + line("d", "@daily")
    first = load_schedule(written(tmp_path, head + before))
    second = load_schedule(written(tmp_path, head + after))
    found = changes(first, second)
    assert (found.added, found.removed, found.changed) == (["d"], ["c"], ["a", "b"])
    assert first.items["a"].definition == second.items["a"].definition
    assert first.items["b"].definition != second.items["b"].definition
    assert changes(second, second) == Changes([], [], [])


@pytest.mark.parametrize(
    ("text", "is_schedule"),
    [
        ("version: 1\nitems: []\n", True),
        ("'items': []\n", True),
        ('"items" : []\ndescription: |\n flow: x\n', True),
        ('description: "a\nflow: b"\nitems: []\n', True),
        ("{items: [], version: 1}\n", True),
        ("  items: []\n", True),
        ("flow: {id: x}\njobs: []\n", False),
        ("flow: {id: x}\njobs:\n- id: a\n  items: [\n", False),
        ("flow: {}\nitems: []\n", False),
        ("jobs: []\n? items\n: []\n", False),
        ("", False),
    ],
)
def test_a_scheduler_file_is_recognized_by_its_keys(tmp_path: Path, text: str, *, is_schedule: bool) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert is_schedule_file(path) is is_schedule


def test_a_flow_is_not_parsed_to_see_that_it_is_no_scheduler_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("version: 1\nflow: {id: x}\njobs: []\n")
    monkeypatch.delattr("aetherflow.spec.schedule_file.scan_file")
    assert not is_schedule_file(path)
