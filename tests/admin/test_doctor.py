"""`doctor` without a mouth: what it finds out about a machine, a flow's secrets, and its resources."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aetherflow.admin import host_checks as machine
from aetherflow.admin.doctor import CheckResult, check_machine, check_machine_for_flow, settings_in_force
from aetherflow.admin.extras import extras
from aetherflow.admin.host_checks import machine_results, state_results
from aetherflow.cli.state_access import newest_time
from aetherflow.config.environment import Environment, load_environment
from aetherflow.redaction import Redactor
from tests.runs.run_parts import Place, flow

ONE = flow("{id: a, steps: [{id: s, type: probe}]}")
EXTRACT = flow(
    "{id: a, steps: [{id: s, type: db_extract, inputs: {resource: db, sql: select 1, output: x}}]}"
)


def environment(place: Place, **env: str) -> Environment:
    return load_environment({**place.env, **env}, directory=place.folder)


def about(results: list[CheckResult], subject: str) -> list[tuple[str, str, str]]:
    return [(one.state, one.message, one.hint) for one in results if one.subject == subject]


def test_a_name_that_is_nearly_a_setting_is_reported_with_the_one_that_was_meant(place: Place) -> None:
    found = machine_results(
        environment(
            place,
            AETHERFLOW_LOG_LEVL="DEBUG",
            AETHERFLOW_XYZZY="1",
            aetherflow_mode="x",
            AETHERFLOW_RUN_ID="given to children",
            AETHERFLOW_RUN_DATE="too",
            AETHERFLOW_SCHEDULED_AT="too",
            AETHERFLOW_OUTPUT="too",
            AETHERFLOW_CACHE_DIR="for templates",
            AETHERFLOW_LOG_LEVEL="DEBUG",
        )
    )
    assert about(found, "settings") == [
        (
            "warning",
            "AETHERFLOW_LOG_LEVL is no setting and has no effect",
            "did you mean AETHERFLOW_LOG_LEVEL?",
        ),
        (
            "warning",
            "AETHERFLOW_XYZZY is no setting and has no effect",
            "aetherflow help settings lists the settings",
        ),
        ("warning", "aetherflow_mode is no setting and has no effect", "did you mean AETHERFLOW_MODE?"),
    ]


@pytest.mark.parametrize(("strict", "state"), [("true", "error"), ("false", "warning")])
def test_a_plugin_that_cannot_be_loaded_is_reported_without_a_flow(
    place: Place, strict: str, state: str
) -> None:
    plugins = place.folder / "plugins"
    plugins.mkdir()
    env = {"AETHERFLOW_PLUGIN_PATHS": str(plugins), "AETHERFLOW_PLUGIN_STRICT": strict}
    whole = check_machine(environment(place, **env), Redactor(), newest_time)
    (plugins / "broken.py").write_text("import nowhere_x\n")
    broken = check_machine(environment(place, **env), Redactor(), newest_time)

    assert about(whole, "plugins") == [("ok", str(plugins), "")]
    shown = f"{plugins}/broken.py:1: [AF583] the plugin needs the module 'nowhere_x', which is not installed"
    assert about(broken, "plugins") == [(state, shown, "install the package that brings it")]


def test_the_clock_is_compared_with_what_was_installed_and_with_what_has_run(place: Place) -> None:
    now = datetime.now(UTC)
    assert about(machine_results(environment(place)), "clock")[0][0] == "ok"
    past = machine_results(environment(place), now=datetime(2001, 1, 1, tzinfo=UTC))
    state, message, hint = about(past, "clock")[0]
    assert state == "warning"
    assert "aetherflow was installed" in message
    assert "NTP" in hint
    assert about(state_results(place.state, newest_time), "clock") == []
    _one_run(place, now + timedelta(hours=5))
    assert about(state_results(place.state, newest_time, now=now), "clock") == [
        ("warning", f"it is behind the newest run in {place.state} by 5 h", hint)
    ]
    assert about(state_results(place.state, newest_time, now=now + timedelta(hours=5)), "clock") == []


def _one_run(place: Place, at: datetime) -> None:
    """Store one run that began at a time."""
    import anyio  # noqa: PLC0415 - only here

    anyio.run(place.run, ONE)
    with closing(sqlite3.connect(place.state)) as raw, raw:
        raw.execute("UPDATE run_state SET started_at = ?", (at.isoformat().replace("+00:00", "Z"),))


def test_the_zones_are_there_and_a_tz_that_is_none_is_reported(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, message, _ = about(machine_results(environment(place)), "time zones")[0]
    assert state == "ok"
    assert int(message.split()[0]) > 300
    wrong = machine_results(environment(place, TZ="Europe/Berln"))
    assert about(wrong, "time zones")[0][0] == "warning"
    for right in (":Asia/Tokyo", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "/etc/localtime", ""):
        assert about(machine_results(environment(place, TZ=right)), "time zones")[0][0] == "ok", right
    monkeypatch.setattr(machine, "A_ZONE", "Nowhere/Land")
    state, message, hint = about(machine_results(environment(place)), "time zones")[0]
    assert (state, message) == ("error", "the database of time zones is missing")
    assert "tzdata" in hint


def test_a_state_database_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"this is no database, and it is long enough to be sure of that" * 50)
    (found,) = state_results(path, newest_time)
    assert found.state == "error"
    assert str(path) in found.message


def test_little_room_for_the_state_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5 * 2**20))
    found = state_results(tmp_path / "state.sqlite", newest_time)
    assert about(found, "state")[1][:2] == ("warning", "5.0 MiB free for the state")


def test_the_metrics_module_and_the_profiles_are_tried(place: Place) -> None:
    found = machine_results(environment(place, AETHERFLOW_METRICS_MODULE="no_such_module"))
    assert about(found, "metrics module")[0][0] == "error"
    good = machine_results(environment(place, AETHERFLOW_PROFILES_JSON='{"b": {}, "a": {}}'))
    assert about(good, "profiles") == [("ok", "a, b", "")]
    both = environment(place, AETHERFLOW_PROFILES_JSON="{}", AETHERFLOW_PROFILES_FILE="x")
    assert about(machine_results(both), "profiles")[0][0] == "error"


def test_without_a_flow_the_common_state_and_the_extras_are_looked_at(place: Place) -> None:
    found = check_machine(environment(place), Redactor(), newest_time)
    assert about(found, "state") == [("ok", f"{place.state} can be made", "")]
    assert about(found, "extra db")[0][1].startswith("sqlalchemy ")
    assert {one.state for one in found} == {"ok"}
    assert not place.state.parent.exists()


def test_the_extras_are_those_of_the_package_without_the_collections() -> None:
    assert {"db", "keyring"} <= extras().keys()
    assert not {"all", "dev"} & extras().keys()
    assert extras()["db"]["sqlalchemy"]


def test_profiles_in_a_variable_are_not_shown(place: Place) -> None:
    env = environment(place, AETHERFLOW_PROFILES_JSON='{"db": {"config": {"pin": "canary-7f3a9c"}}}')
    shown = {one.name: one.value for one in settings_in_force(env, Redactor())}
    assert shown["profiles_json"] == "(JSON, 44 characters)"


def test_where_a_setting_came_from_is_reported_for_every_layer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "night.env").write_text("AETHERFLOW_LOG_FORMAT=json\n")
    (place.folder / "af_doctor_settings.py").write_text("SETTINGS = {'plugin_strict': False}\n")
    monkeypatch.syspath_prepend(str(place.folder))
    env = environment(
        place,
        AETHERFLOW_ENV_FILES_JSON='[{"path": "night.env"}]',
        AETHERFLOW_SETTINGS_MODULE="af_doctor_settings",
        AETHERFLOW_LOG_LEVEL="DEBUG",
    )
    sources = {one.name: (one.value, one.source) for one in settings_in_force(env, Redactor())}
    assert sources["log_format"] == ("json", "env file night.env")
    assert sources["plugin_strict"] == ("false", "settings module af_doctor_settings")
    assert sources["log_level"] == ("DEBUG", "environment")
    assert sources["mode"] == ("internal_fast", "default")


def test_the_secrets_of_a_resource_are_looked_for_and_not_shown(place: Place) -> None:
    (place.folder / "pin").write_text("canary-7f3a9c")
    (place.folder / "pin").chmod(0o600)
    secrets = (
        f"{{a: {{secret: 'file:{place.folder}/pin'}}, b: {{secret: 'file:/no/pin'}},"
        " c: {secret: 'env:PIN'}, d: {secret: 'command:no_such_program x'}}"
    )
    found = check_machine_for_flow(
        place.checked(
            f"{EXTRACT}resources:\n  db: {{kind: db, driver: sqlalchemy, config: {{url: 'sqlite://'}},"
            f" options: {{connect_args: {secrets}}}}}\n"
        ),
        newest_time,
    )
    assert [(state, message) for state, message, _ in about(found, "resource db")] == [
        ("error", "options.connect_args.c needs the environment variable PIN, which is not set"),
        ("ok", f"options.connect_args.a: the file {place.folder}/pin is there"),
        ("error", "options.connect_args.b: there is no file /no/pin"),
        ("error", "options.connect_args.d: there is no program no_such_program"),
    ]
    assert "canary" not in repr(found)


def test_a_package_that_a_connector_needs_is_reported_with_its_extra(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector  # noqa: PLC0415 - only here

    monkeypatch.setattr(SqlAlchemyConnector, "packages", ("no_such_package",))
    text = EXTRACT + "resources:\n  db: {kind: db, driver: sqlalchemy, config: {url: 'sqlite://'}}\n"
    found = check_machine_for_flow(place.checked(text), newest_time)
    assert about(found, "resource db")[1] == (
        "error",
        "db:sqlalchemy needs the package 'no_such_package', which is not installed",
        "pip install 'aetherflow[db]'",
    )


def test_a_healthy_machine_is_healthy(place: Place) -> None:
    assert os.access(place.folder, os.W_OK)
    assert {result.state for result in check_machine_for_flow(place.checked(ONE), newest_time)} == {"ok"}
