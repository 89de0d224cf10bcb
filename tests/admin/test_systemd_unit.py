"""The unit that `aetherflow init systemd` prints: what systemd itself says of it, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine

SCHEDULE = "version: 1\nshutdown_grace_seconds: 90\nitems: [{id: a, cron: '@daily', flow_yaml: flow.yaml}]\n"


def test_the_unit_names_what_is_served_and_gives_it_time_to_stop(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    path = cli.write("my flows 100%/scheduler.yaml", SCHEDULE)
    done = cli.run("init", "systemd", "my flows 100%/scheduler.yaml")
    assert done.code == 0, done.err
    assert f'aetherflow serve "{str(path).replace("%", "%%")}"\n' in done.out
    for line in ("Type=notify", "TimeoutStopSec=135", "SuccessExitStatus=130 143", "KillMode=mixed"):
        assert f"\n{line}\n" in done.out
    assert f"\nEnvironment=AETHERFLOW_STATE_ROOT={cli.state.parent}\n" in done.out


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_nothing_wrong_with_it(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", OK)
    cli.write("night ops/scheduler.yaml", SCHEDULE)
    unit = tmp_path / "aetherflow.service"
    unit.write_text(cli.run("init", "systemd", "night ops/scheduler.yaml").out)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, str(unit) in done.stderr) == (0, False), done.stderr


def test_a_wrong_file_gets_no_unit(cli: CommandLine) -> None:
    cli.write("scheduler.yaml", "version: 1\nitems: [{id: a, cron: '@daily', flow_yaml: none.yaml}]\n")
    done = cli.run("init", "systemd", "scheduler.yaml")
    assert (done.code, done.out) == (2, "")
