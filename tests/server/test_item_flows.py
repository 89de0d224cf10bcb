"""What `validate` reports about the flows, jobs, params and bundles that a scheduler file names."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import CommandLine

FLOW = """
version: 1
flow: {id: f, params: {day: {type: date, required: true}}}
jobs:
- id: a
  steps: [{id: s, type: check_items, inputs: {items: [x]}}]
"""


def lines(cli: CommandLine, items: str) -> list[str]:
    """Return what `validate` prints about a file with these items."""
    cli.write("flow.yaml", FLOW)
    cli.write("scheduler.yaml", f"version: 1\nitems:\n{items}")
    done = cli.run("validate", "scheduler.yaml")
    assert done.code == (0 if not done.err else 2), done
    return [line for line in done.err.splitlines() if "error[" in line]


def test_a_file_with_good_flows_is_valid(cli: CommandLine) -> None:
    assert lines(cli, "- {id: a, cron: '@daily', flow_yaml: flow.yaml, params: {day: '2026-01-01'}}\n") == []


def test_params_and_jobs_are_checked_at_the_item(cli: CommandLine) -> None:
    found = lines(
        cli,
        "- {id: a, cron: '@daily', flow_yaml: flow.yaml}\n"
        "- {id: b, cron: '@daily', flow_yaml: flow.yaml, params: {day: monday}}\n"
        "- {id: c, cron: '@daily', flow_yaml: flow.yaml, params: {day: '2026-01-01'}, flow_job: nope}\n",
    )
    assert [line.partition(" error")[0] for line in found] == [
        "scheduler.yaml:3:3:",
        "scheduler.yaml:4:49:",
        "scheduler.yaml:5:78:",
    ]
    assert "the parameter 'day' is required" in found[0]
    assert "the flow has no such job" in found[2]
    assert all("AF208" in line for line in found)


def test_what_is_wrong_with_a_flow_is_reported_once_and_each_item_names_it(cli: CommandLine) -> None:
    cli.write("broken.yaml", FLOW.replace("check_items", "chek_items"))
    found = lines(
        cli,
        "- {id: a, cron: '@daily', flow_yaml: broken.yaml, params: {day: '2026-01-01'}}\n"
        "- {id: b, cron: '@daily', flow_yaml: broken.yaml, params: {day: '2026-01-01'}}\n",
    )
    assert [line for line in found if "chek_items" in line and "broken.yaml:" in line] == found[-1:]
    assert [line for line in found if "AF207" in line] == found[:2]


def test_a_wrong_manifest_is_reported(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("bundle.yaml", "version: 1\nbundel: {}\n")
    found = lines(cli, "- {id: a, cron: '@daily', bundle_manifest: bundle.yaml}\n")
    assert "AF207" in found[0]
    assert any("bundle.yaml:" in line for line in found)
    assert tmp_path == cli.folder


def test_a_mistyped_key_hides_nothing_else(cli: CommandLine) -> None:
    found = lines(
        cli,
        "- {id: a, crn: '61 * * * *', flow_yaml: nowhere.yaml}\n"
        "- {id: b, cron: 5, flow_yaml: flow.yaml}\n"
        "- {cron: '* * * *', flow_yaml: flow.yaml, after: [a, missing]}\n"
        "- {id: d, cron: '@daily', flow_yml: flow.yaml, params: {day: monday}}\n",
    )
    assert [line.partition("]")[0] for line in found] == [
        "scheduler.yaml:3:11: error[AF111",
        "scheduler.yaml:3:17: error[AF150",
        "scheduler.yaml:3:30: error[AF203",
        "scheduler.yaml:4:11: error[AF150",
        "scheduler.yaml:5:3: error[AF112",
        "scheduler.yaml:5:11: error[AF150",
        "scheduler.yaml:6:27: error[AF111",
        "scheduler.yaml:6:48: error[AF208",
    ]


def test_a_file_that_was_guessed_at_is_not_served(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    cli.write("scheduler.yaml", "version: 1\nitems:\n- {id: a, corn: '@daily', flow_yaml: flow.yaml}\n")
    done = cli.run("serve", "scheduler.yaml")
    assert done.code == 2
    assert "did you mean 'cron'?" in done.err
