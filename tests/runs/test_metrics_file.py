"""The metrics file of one-shot runs: counters continue, none is lost, and no run fails because of it."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aetherflow.events.run_events import RunFinished, RunStarted
from aetherflow.runs import shared_file
from aetherflow.runs.metrics_file import MetricsFile
from aetherflow.store.process_identity import this_process
from tests.cli.command_line import FAILS, OK, WAITS, CommandLine
from tests.observe.test_metric_fold import AT, RUN
from tests.polling import wait_until


def counts(file: Path, name: str = "aetherflow_runs_total") -> dict[tuple[str, ...], float]:
    """Return the samples of a metric that are not 0, by their label values."""
    text = file.read_text(encoding="utf-8")
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.value
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(cli: CommandLine) -> Path:
    """The file that the settings name, in a folder of its own."""
    (cli.folder / "textfile").mkdir()
    path = cli.folder / "textfile" / "aetherflow.prom"
    cli.env["AETHERFLOW_METRICS_TEXTFILE"] = str(path)
    return path


def test_the_counters_continue_over_runs_also_over_those_that_fail_or_are_retried(
    cli: CommandLine, file: Path
) -> None:
    cli.write("ok.yaml", OK)
    cli.write("fails.yaml", FAILS.replace("id: f", "id: g"))
    assert cli.run("run", "ok.yaml").code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o644, "the collector is another user"
    file.chmod(0o640)
    assert cli.run("run", "fails.yaml", "--run-id", "r").code == 1
    assert cli.run("runs", "retry", "r").code == 1
    assert counts(file) == {("f", "SUCCESS"): 1, ("g", "FAILED"): 2}
    assert counts(file, "aetherflow_step_duration_seconds_count") == {
        ("SUCCESS", "check_items"): 1,
        ("FAILED", "external.process"): 2,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o640, "what a person has set stays"
    assert names(file.parent) == ["aetherflow.prom", "aetherflow.prom.lock"]
    assert stat.S_IMODE(file.with_name("aetherflow.prom.lock").stat().st_mode) == 0o600


def test_runs_at_the_same_time_lose_no_counts(cli: CommandLine, file: Path) -> None:
    cli.write("flow.yaml", OK)
    running = [cli.start("run", "flow.yaml") for _ in range(6)]
    ended = [one.end() for one in running]
    assert [one.code for one in ended] == [0] * 6, ended
    assert counts(file) == {("f", "SUCCESS"): 6}


def test_a_run_that_was_killed_is_counted_by_the_next(cli: CommandLine, file: Path) -> None:
    cli.write("waits.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    cli.write("ok.yaml", OK.replace("id: f", "id: g"))
    lock = file.with_name("aetherflow.prom.lock")
    with cli.start("run", "waits.yaml", "--run-id", "r", "--log-format", "json") as killed:
        killed.event("step_output")
        wait_until(lambda: lock.exists() and b'"r"' in lock.read_bytes())
        killed.send(signal.SIGKILL)
        killed.end()
    assert cli.run("run", "ok.yaml").code == 0
    assert counts(file) == {("f", "INTERRUPTED"): 1, ("g", "SUCCESS"): 1}
    (cli.folder / "go").touch()
    assert cli.run("runs", "retry", "r").code == 0
    assert counts(file) == {("f", "INTERRUPTED"): 1, ("f", "SUCCESS"): 1, ("g", "SUCCESS"): 1}
    assert 'aetherflow_runs_started_total{flow="f"} 2.0' in file.read_text(), "what was killed had begun"


def test_a_run_that_is_cancelled_is_counted(cli: CommandLine, file: Path) -> None:
    cli.write("waits.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "never")))
    with cli.start("run", "waits.yaml", "--log-format", "json") as running:
        running.event("step_output")
        running.send(signal.SIGINT)
        assert running.end().code == 130
    assert counts(file) == {("f", "CANCELLED"): 1}


def test_an_item_that_is_fired_here_is_counted(cli: CommandLine, file: Path) -> None:
    cli.write("flow.yaml", OK)
    cli.write("s.yaml", "version: 1\nid: n\nitems:\n- {id: a, cron: '@daily', flow_yaml: flow.yaml}\n")
    assert cli.run("scheduler", "fire", "a", "--file", "s.yaml", "--here").code == 0
    assert counts(file) == {("f", "SUCCESS"): 1}
    refused = cli.run("scheduler", "fire", "a", "--file", "s.yaml", "--metrics-file", "m.prom")
    assert refused.code == 2
    assert "--metrics-file needs --here" in refused.err


def test_a_broken_file_begins_anew_and_a_foreign_one_is_left_alone(cli: CommandLine, file: Path) -> None:
    cli.write("flow.yaml", OK)
    file.write_text("aetherflow_runs_total{flow\n")
    done = cli.run("run", "flow.yaml")
    assert done.code == 0
    assert "warning[AF892]" in done.err
    assert counts(file) == {("f", "SUCCESS"): 1}
    other = cli.write("other.prom", "node_load1 0.5\n")
    done = cli.run("run", "flow.yaml", "--metrics-file", "other.prom")
    assert done.code == 0
    assert "has none of AetherFlow's metrics" in done.err
    assert other.read_text() == "node_load1 0.5\n"


def test_a_place_that_cannot_be_written_changes_nothing_about_the_run(cli: CommandLine, file: Path) -> None:
    cli.write("flow.yaml", OK)
    done = cli.run("run", "flow.yaml", "--json", "--metrics-file", "/dev/full/m.prom")
    assert done.code == 0
    assert done.json()["status"] == "SUCCESS"
    assert "warning[AF891]" in done.err
    assert not file.exists()
    os.mkfifo(cli.folder / "pipe.prom")
    done = cli.run("run", "flow.yaml", "--metrics-file", "pipe.prom")
    assert done.code == 0
    assert "pipe.prom: it is no file" in done.err
    (cli.folder / "folder.prom").mkdir()
    done = cli.run("run", "flow.yaml", "--metrics-file", "folder.prom")
    assert done.code == 0
    assert "folder.prom: it is no file" in done.err


async def observed(file: MetricsFile) -> None:
    """Let it see a run from its beginning to its end."""
    await file([RunStarted(at=AT, **RUN, flow_file="f", owner="me")])
    await file([RunFinished(at=AT, **RUN, status="SUCCESS", duration_seconds=1)])


@pytest.mark.asyncio
async def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (MetricsFile(tmp_path / "m.prom") for _ in range(2))
    await observed(first)
    await first.write()
    monkeypatch.setattr("os.fsync", _no_room)
    await observed(second)
    await second.write()
    assert [str(one).partition(":")[0] for one in second.warnings.values()] == ["warning[AF891]"]
    assert counts(tmp_path / "m.prom") == {("demo", "SUCCESS"): 1}
    assert (tmp_path / "m.prom.lock").read_bytes() == b"{}", "it was not killed"
    assert names(tmp_path) == ["m.prom", "m.prom.lock"]


def _no_room(_: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.asyncio
async def test_a_run_from_before_the_machine_booted_was_killed(tmp_path: Path) -> None:
    name, _, *rest = this_process().host.split(" ")
    old = msgspec.structs.replace(this_process(), host=" ".join([name, "another-boot", *rest]))
    elsewhere = msgspec.structs.replace(old, host="elsewhere boot")
    begun = {
        "r0": {"flow": "old", "process": old, "at": 9e9},
        "r9": {"flow": "there", "process": elsewhere, "at": 9e9},
    }
    (tmp_path / "m.prom.lock").write_bytes(msgspec.json.encode(begun))
    file = MetricsFile(tmp_path / "m.prom")
    await observed(file)
    await file.write()
    assert counts(tmp_path / "m.prom") == {("demo", "SUCCESS"): 1, ("old", "INTERRUPTED"): 1}
    assert list(msgspec.json.decode((tmp_path / "m.prom.lock").read_bytes())) == ["r9"], "it cannot be asked"


@pytest.mark.asyncio
async def test_another_process_that_holds_the_lock_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "LOCK_SECONDS", 0.05)
    file = MetricsFile(tmp_path / "m.prom")
    await observed(file)
    with shared_file.locked(tmp_path / "m.prom.lock", 0o600):
        await file.write()
    (warning,) = file.warnings.values()
    assert "another process holds it" in warning.message


@pytest.mark.asyncio
async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "m.prom").symlink_to(tmp_path / "real" / "m.prom")
    file = MetricsFile(tmp_path / "m.prom")
    await observed(file)
    await file.write()
    assert (tmp_path / "m.prom").is_symlink()
    assert counts(tmp_path / "real" / "m.prom") == {("demo", "SUCCESS"): 1}
