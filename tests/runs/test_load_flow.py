"""A flow is examined with everything that it refers to, and the places of its runs are resolved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from aetherflow.admin.doctor import CheckResult, check_machine_for_flow, settings_in_force
from aetherflow.admin.dry_run import outline
from aetherflow.admin.explain_resources import explain_resources
from aetherflow.cli.state_access import newest_time
from aetherflow.errors import ConfigError, InvalidInput, UsageError
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.resolved_resource import resolve
from aetherflow.runs.run_paths import run_paths_of
from tests.runs.run_parts import Place, flow

RESOURCE = (
    "resources:\n"
    "  db: {kind: db, driver: sqlalchemy, config: {url: '{{env.DB_PATH}}'},"
    " options: {connect_args: {password: '{{env.DB_PASSWORD:none}}'}}}\n"
)
EXTRACT = "{id: a, steps: [{id: s, type: db_extract, inputs: {resource: db, sql: select 1, output: x}}]}"


def test_everything_wrong_is_reported_in_the_order_of_the_file(place: Place) -> None:
    file = place.write(
        flow(
            "{id: a, depends_on: [zz], steps: [{id: s, type: check_itms}]}",
            "{id: b, when: jobs.nowhere.status == 1,"
            " steps: [{id: s, type: check_items, inputs: {items: '{{oops}}'}}]}",
            head="workspace: {root: '{{nope.x}}'}",
        )
        + "resources:\n  r: {kind: db, driver: nodb}\n"
    )
    checked = load_checked_flow(file, place.env)
    paths = [(d.line, d.column) for d in checked.diagnostics]
    assert paths == sorted(paths)
    assert {d.code for d in checked.errors} >= {"AF131", "AF540", "AF406", "AF403"}
    assert len(checked.errors) == len(checked.diagnostics) - 1  # the resource that nobody uses is a warning
    with pytest.raises(InvalidInput) as raised:
        checked.raise_if_invalid()
    assert raised.value.diagnostics == tuple(checked.diagnostics)
    assert raised.value.exit_code == 2


def test_a_variable_that_is_not_set_is_a_warning_or_an_error_as_the_settings_say(place: Place) -> None:
    file = place.write(flow(EXTRACT) + RESOURCE)
    lenient = load_checked_flow(file, place.env)
    assert [(d.severity, d.code) for d in lenient.diagnostics] == [("warning", "AF536")]
    assert lenient.errors == []
    lenient.raise_if_invalid()
    strict = load_checked_flow(file, {**place.env, "AETHERFLOW_VALIDATE_ENV_STRICT": "true"})
    assert [(d.severity, d.code) for d in strict.diagnostics] == [("error", "AF536")]
    assert load_checked_flow(file, {**place.env, "DB_PATH": "x"}).diagnostics == []


def test_a_resource_is_resolved_when_it_is_asked_for_and_its_secrets_are_learned(place: Place) -> None:
    checked = place.checked(flow(EXTRACT) + RESOURCE, DB_PATH="x.db", DB_PASSWORD="canary-pw")  # noqa: S106 - a canary
    resource = resolve(checked, "db")
    assert (resource.name, resource.kind, resource.driver) == ("db", "db", "sqlalchemy")
    assert resource.config == {"url": "x.db"}
    assert resource.options == {"connect_args": {"password": "canary-pw"}}
    assert checked.redactor.text("with canary-pw") == "with ***"
    with pytest.raises(ConfigError, match="the flow has no resource 'other'") as raised:
        resolve(checked, "other")
    assert raised.value.hint == "it has db"


@pytest.mark.parametrize(
    "keys",
    [
        "config: {url: x}, options: {connect_args: {password: '{{env.ZZ}}'}}",
        "config: {url: {secret: 'env:ZZ'}}",
        "config: {url: 'pg://me:{{env.ZZ}}@host'}",
        "config: {url: '{{env.ZZ}}'}, decode: {config: {url: true}}",
    ],
)
def test_what_the_environment_holds_of_a_secret_is_masked_before_a_resource_is_opened(
    place: Place, keys: str
) -> None:
    resource = f"resources:\n  db: {{kind: db, driver: sqlalchemy, {keys}}}\n"
    checked = place.checked(flow(EXTRACT) + resource, ZZ="canary-zz")
    assert checked.redactor.text("a program printed canary-zz") == "a program printed ***"


def test_a_profile_stands_behind_the_keys_of_a_resource(place: Place) -> None:
    (place.folder / "profiles.json").write_text(
        json.dumps({"main": {"config": {"path": "profile.db", "url": "sqlite:///p.db"}}})
    )
    text = (
        flow(EXTRACT)
        + "resources:\n  db: {kind: db, driver: sqlite3, profile: main, config: {path: own.db}}\n"
    )
    checked = place.checked(text, AETHERFLOW_PROFILES_FILE=str(place.folder / "profiles.json"))
    here = place.folder  # of the flow and of the profiles
    assert resolve(checked, "db").config == {"path": f"{here}/own.db", "url": f"sqlite:///{here}/p.db"}
    origins = {origin.field: origin.source for origin in explain_resources(checked)["db"].fields}
    assert set(origins) == {"config.path", "config.url", "options.timeout_seconds", "options.cache"}
    assert origins["options.timeout_seconds"] == "default"
    assert origins["config.path"] != origins["config.url"]


# ---- places


def test_without_a_word_the_state_and_the_files_are_where_the_settings_say(place: Place) -> None:
    paths = run_paths_of(place.checked(flow(EXTRACT) + RESOURCE), {})
    root = place.folder / "xdg" / "aetherflow"
    assert paths.state == root / "aetherflow.sqlite"
    assert paths.logs == root / "aetherflow.logs"
    assert paths.work_root == root / "work"
    assert dict(paths.layout) == {"artifacts": "artifacts", "scratch": "scratch", "manifests": "manifests"}
    assert paths.max_parallel_jobs == max(8, 4 * (os.cpu_count() or 1))
    assert paths.max_jobs_ahead == max(64 - paths.max_parallel_jobs, 0)
    moved = place.checked(
        flow(EXTRACT) + RESOURCE, AETHERFLOW_STATE_ROOT="/srv/state", AETHERFLOW_WORK_ROOT="/srv/work"
    )
    assert run_paths_of(moved, {}).state == Path("/srv/state/aetherflow.sqlite")
    assert run_paths_of(moved, {}).work_root == Path("/srv/work")


def test_the_flow_says_where_with_the_environment_and_its_parameters(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    head = (
        "params: {day: {type: date}}, max_parallel_jobs: 3, state: {path: 'run/{{params.day}}.db'},"
        " workspace: {root: '{{env.SPACE}}/w', layout: {artifacts: 'out/{{params.day}}', more: kept}}"
    )
    checked = place.checked(flow("{id: a, steps: [{id: s, type: probe}]}", head=head), SPACE="/big")
    paths = run_paths_of(checked, {"day": "2026-02-03"})
    assert paths.state == place.folder / "run" / "2026-02-03.db"
    assert paths.logs == place.folder / "run" / "2026-02-03.logs"
    assert paths.work_root == Path("/big/w")
    assert dict(paths.layout) == {
        "artifacts": "out/2026-02-03",
        "scratch": "scratch",
        "manifests": "manifests",
        "more": "kept",
    }
    assert (paths.max_parallel_jobs, paths.max_jobs_ahead) == (3, 0)
    with pytest.raises(ConfigError, match=r"flow\.state\.path"):
        run_paths_of(checked, None)
    with pytest.raises(UsageError, match="'day' is required"):
        run_paths_of(checked, {})
    with pytest.raises(UsageError, match="'day' must be a date"):
        run_paths_of(checked, {"day": "monday"})


# ---- dry run


def test_the_outline_shows_the_jobs_in_an_order_in_which_they_can_run(place: Place) -> None:
    plan = place.checked(
        flow(
            "{id: late, when: jobs.early.status == 'SUCCESS', steps: [{id: s, type: probe}]}",
            "{id: alone, steps: [{id: s, type: probe}, {id: t, type: check_items, inputs: {items: x}}]}",
            "{id: last, depends_on: [late, alone], steps: [{id: s, type: probe}]}",
            "{id: early, steps: [{id: s, type: probe}]}",
        )
    ).plan
    jobs = outline(plan)
    assert [job.id for job in jobs] == ["alone", "early", "late", "last"]
    assert [str(job).splitlines()[0] for job in jobs] == [
        "alone",
        "early",
        "late  [after early; when jobs.early.status == 'SUCCESS']",
        "last  [needs late, alone]",
    ]
    assert jobs[0].steps == ["s: probe", "t: check_items"]
    assert [job.id for job in outline(plan, "late")] == ["early", "late"]
    with pytest.raises(UsageError, match="--flow-job nope: the flow has no such job"):
        outline(plan, "nope")


# ---- doctor


def found(diagnostics: list[CheckResult], subject: str) -> tuple[str, str]:
    """Return the state and the message of the result about a subject."""
    return next((one.state, one.message) for one in diagnostics if one.subject == subject)


def test_the_doctor_looks_at_variables_and_places(place: Place) -> None:
    diagnostics = check_machine_for_flow(place.checked(flow(EXTRACT) + RESOURCE), newest_time)
    assert found(diagnostics, "resource db") == (
        "error",
        "config.url needs the environment variable DB_PATH, which is not set",
    )
    assert found(diagnostics, "state") == ("ok", f"{place.state} can be made")
    assert found(diagnostics, "workspace") == ("ok", f"{place.state.parent / 'work'} can be made")
    healthy = check_machine_for_flow(place.checked(flow(EXTRACT) + RESOURCE, DB_PATH="x"), newest_time)
    assert {diagnostic.state for diagnostic in healthy} == {"ok"}


def test_the_doctor_says_what_stands_in_the_way(place: Place) -> None:
    (place.folder / "file").write_text("x")
    head = f"workspace: {{root: {place.folder}/file/work}}, state: {{path: {place.folder}}}"
    diagnostics = check_machine_for_flow(
        place.checked(flow("{id: a, steps: [{id: s, type: probe}]}", head=head)), newest_time
    )
    assert found(diagnostics, "state") == ("error", f"{place.folder} is a folder, and should be a file")
    assert found(diagnostics, "workspace") == (
        "error",
        f"{place.folder}/file is a file, and {place.folder}/file/work should be a folder",
    )


def test_the_settings_in_force_are_reported_with_their_source_and_masked(place: Place) -> None:
    checked = place.checked(
        flow(EXTRACT) + RESOURCE,
        AETHERFLOW_LOG_LEVEL="debug",
        AETHERFLOW_WORK_ROOT="/srv/canary-pw",
        DB_PASSWORD="canary-pw",  # noqa: S106 - a canary
    )
    settings = {
        one.name: (one.value, one.source) for one in settings_in_force(checked.environment, checked.redactor)
    }
    assert settings["log_level"][0].lower() == "debug"
    assert settings["work_root"][0] == "/srv/***"
    assert settings["log_level"][1] != settings["log_format"][1]
    assert b"canary" not in msgspec.json.encode(settings)
