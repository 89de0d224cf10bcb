"""`--bundle-manifest`: runs of flows of a bundle, also resumed ones and those of a server."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.cli.bundle_files import HELLO, MANIFEST, OPTION, OTHER, root, with_bundle
from tests.cli.command_line import CommandLine
from tests.polling import wait_until

STARTED = "select payload from events where event = 'run_started'"


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    return with_bundle(cli)


def test_the_entry_flow_of_a_bundle_runs_from_its_snapshot(shop: CommandLine) -> None:
    result = shop.run("run", *OPTION, "--run-id", "r")

    assert result.code == 0, result
    assert "a.s | first" in result.err
    [(event,)] = shop.query("select payload from events where event = 'run_started'")
    bundle = json.loads(event)["bundle"]
    assert bundle == {
        "id": "demo",
        "fingerprint": (root(shop) / "active").readlink().name,
        "manifest": str(shop.folder / "bundle.yaml"),
        "flow": "flows/hello.yaml",
    }


def test_another_flow_is_named_relative_to_the_flows_folder_or_to_the_root(shop: CommandLine) -> None:
    for name in ("other.yaml", "flows/other.yaml"):
        result = shop.run("run", name, *OPTION, "--log-format", "json")
        assert result.code == 0, result
        assert result.lines()[0]["flow_id"] == "other"

    result = shop.run("run", "othr.yaml", *OPTION)

    assert result.code == 2
    assert "error[AF865]: the bundle 'demo' has no flow 'othr.yaml'" in result.err
    assert "did you mean 'other.yaml'?" in result.err


@pytest.mark.parametrize("name", ["../bundle.yaml", "/etc/passwd", "flows/../../../../bundle.yaml"])
def test_a_flow_outside_of_the_bundle_is_refused(shop: CommandLine, name: str) -> None:
    result = shop.run("validate", name, *OPTION)

    assert result.code == 2
    assert "AF865" in result.err


def test_a_bundle_without_entry_flow_asks_for_one(shop: CommandLine) -> None:
    shop.write("bundle.yaml", MANIFEST.replace("  entry_flow: hello.yaml\n", ""))

    result = shop.run("run", *OPTION)

    assert result.code == 2
    assert "error[AF865]: the bundle 'demo' has no entry flow" in result.err
    assert shop.run("validate", "hello.yaml", *OPTION).code == 0


def test_a_run_that_is_resumed_with_a_changed_bundle_is_warned(shop: CommandLine) -> None:
    assert shop.run("run", *OPTION, "--run-id", "r").code == 0
    assert "AF867" not in shop.run("run", *OPTION, "--run-id", "r").err
    shop.write("share/data.txt", "second\n")

    result = shop.run("run", *OPTION, "--run-id", "r", "--rerun", "a")

    assert result.code == 0
    assert "AF867: the run had its flow from the bundle demo " in result.err
    assert "a.s | second" in result.err


def test_runs_retry_resumes_with_the_bundle_from_anywhere(shop: CommandLine, tmp_path: Path) -> None:
    shop.write("share/flows/hello.yaml", HELLO.replace("[cat,", "['false',"))
    assert shop.run("run", *OPTION, "--run-id", "r").code == 1
    shop.write("share/flows/hello.yaml", HELLO)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shop.folder = elsewhere

    result = shop.run("runs", "retry", "r")

    assert result.code == 0, result
    assert "a.s | first" in result.err
    assert "AF867" in result.err


def test_the_resume_line_of_a_failed_run_works_as_it_is(shop: CommandLine) -> None:
    (shop.folder / "share/data.txt").unlink()
    failed = shop.run("run", *OPTION, "--run-id", "r1")
    assert failed.code == 1
    line = next(one for one in failed.err.splitlines() if "resume: aetherflow " in one)

    again = shop.run(*shlex.split(line.partition("aetherflow ")[2]))

    assert again.code == 1
    assert "attempt 2" in again.err
    assert "snapshots" not in line


def test_a_run_keeps_its_snapshot_while_the_bundle_moves_on(shop: CommandLine) -> None:
    shop.write(
        "share/flows/hello.yaml",
        HELLO.replace(
            '[cat, "{{env.AETHERFLOW_ACTIVE_DIR}}/data.txt"]',
            '[sh, -c, \'echo up; until test -e "$0"; do sleep 0.02; done; cat "$1/data.txt"\', '
            '"{{env.GO}}", "{{env.AETHERFLOW_ACTIVE_DIR}}"]',
        ),
    )
    go = shop.folder / "go"
    shop.env["GO"] = str(go)
    with shop.start("run", *OPTION, "--log-format", "json") as running:
        running.event("step_output", text="up")
        began_with = (root(shop) / "active").readlink().name
        for number in range(5):
            shop.write("share/data.txt", f"version {number}\n")
            assert shop.run("bundle", "sync", *OPTION).code == 0
        assert (root(shop) / "snapshots" / began_with).is_dir()
        assert len(list((root(shop) / "snapshots").iterdir())) == 4
        go.touch()
        assert running.event("step_output", text="first")
        assert running.end().code == 0

    assert shop.run("bundle", "sync", *OPTION).code == 0
    wait_until(lambda: not (root(shop) / "snapshots" / began_with).exists())


def test_the_profiles_env_files_and_resources_of_a_bundle_are_used(shop: CommandLine) -> None:
    shop.write(
        "bundle.yaml",
        MANIFEST + "  layout: {profiles_file: places.yaml}\n"
        "env_files: [{path: night.env}]\n"
        "resources: {lake: {kind: db, driver: sqlite3, profile: lake}, "
        "own: {kind: db, driver: sqlite3, config: {path: wrong}}}\n",
    )
    shop.write("share/places.yaml", "lake: {config: {path: '{{env.LAKE}}'}}\n")
    shop.write("share/night.env", f"LAKE={shop.folder}/lake.sqlite\n")
    shop.write(
        "share/flows/hello.yaml",
        HELLO
        + "      - {id: d, type: db_extract, inputs: {resource: lake, sql: 'select 1 as n', output: n.tsv}}\n"
        "      - {id: e, type: db_extract, inputs: {resource: own, sql: 'select 2 as n', output: m.tsv}}\n"
        f"resources: {{own: {{kind: db, driver: sqlite3, config: {{path: '{shop.folder}/own.sqlite'}}}}}}\n",
    )
    for name in ("lake", "own"):
        shop.query("select 1", shop.folder / f"{name}.sqlite")
        (shop.folder / f"{name}.sqlite").touch()

    assert "valid" in shop.run("validate", *OPTION).out
    assert shop.run("run", *OPTION).code == 0
    setting = next(
        one
        for one in shop.run("doctor", *OPTION, "--json").json()["settings"]
        if one["name"] == "profiles_file"
    )
    assert setting["source"] == "bundle demo"
    assert (
        shop.run("explain", *OPTION, "--json").json()["resources"]["lake"]["fields"][0]["source"]
        == "profile lake"
    )


def test_a_wrong_resource_of_the_manifest_is_reported_at_its_place_there(shop: CommandLine) -> None:
    shop.write(
        "bundle.yaml", MANIFEST + "resources:\n  lake: {kind: db, driver: sqlit3, config: {path: x}}\n"
    )

    result = shop.run("validate", *OPTION)

    assert result.code == 2
    assert "bundle.yaml:8:20: error[AF540]" in result.err


def test_a_server_runs_the_flows_of_bundles(shop: CommandLine) -> None:
    shop.write(
        "scheduler.yaml",
        "version: 1\nid: night\nitems:\n"
        "- {id: a, interval_seconds: 1, bundle_manifest: bundle.yaml}\n"
        "- {id: b, interval_seconds: 1, bundle_manifest: bundle.yaml, flow_yaml: other.yaml}\n"
        "- {id: c, interval_seconds: 1, bundle_manifest: stale.yaml, allow_stale_bundle: true}\n",
    )
    shop.write("gone/flows/other.yaml", OTHER)
    shop.write("gone/data.txt", "last\n")
    shop.write(
        "stale.yaml",
        MANIFEST.replace("demo", "old").replace("share", "gone").replace("hello.yaml", "other.yaml"),
    )
    assert shop.run("bundle", "sync", "--bundle-manifest", "stale.yaml").code == 0
    shutil.rmtree(shop.folder / "gone")

    with shop.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        timer = threading.Timer(60, server.process.kill)  # what waits for an event then sees the end
        timer.start()
        for flow_id in ("hello", "other"):
            server.event("run_summary", flow_id=flow_id, status="SUCCESS")
        assert "may be stale" in server.event("notice", code="AF866")["message"]
        server.send(signal.SIGTERM)
        server.end()
        timer.cancel()

    reported = {json.loads(event)["bundle"]["flow"] for (event,) in shop.query(STARTED)}
    assert reported == {"flows/hello.yaml", "flows/other.yaml"}


def test_flows_find_their_bundle_by_three_variables(shop: CommandLine) -> None:
    shop.write(
        "share/flows/hello.yaml",
        HELLO.replace(
            '[cat, "{{env.AETHERFLOW_ACTIVE_DIR}}/data.txt"]',
            "[echo, '{{env.AETHERFLOW_LOCAL_ROOT_DIR}}', '{{env.AETHERFLOW_ACTIVE_DIR}}', "
            "'{{env.AETHERFLOW_CACHE_DIR}}']",
        ),
    )
    shop.write("bundle.yaml", MANIFEST + "env_files: [{path: my.env}]\n")
    shop.write("share/my.env", "AETHERFLOW_ACTIVE_DIR=/etc\n")

    result = shop.run("run", *OPTION)

    active = (root(shop) / "active").resolve()
    assert f"a.s | {root(shop)} {active} {root(shop)}/cache\n" in result.err


def test_a_stale_bundle_is_allowed_for_bundles_only(shop: CommandLine) -> None:
    for command in (["run"], ["validate"], ["doctor"], ["explain"]):
        result = shop.run(*command, "share/flows/hello.yaml", "--allow-stale-bundle")
        assert result.code == 2
        assert "--allow-stale-bundle belongs to --bundle-manifest FILE" in result.err
