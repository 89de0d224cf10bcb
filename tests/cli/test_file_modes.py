"""Who may read what AetherFlow creates: the same under every umask; programs keep the umask of the user."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm_start
from tests.cli.command_line import AETHERFLOW, SECONDS, CommandLine
from tests.polling import wait_until

PRIVATE = stat.S_IRWXG | stat.S_IRWXO

RICH = """
version: 1
flow:
  id: rich
  workspace: {cleanup_policy: never}
resources:
  mem: {kind: db, driver: sqlite3, config: {path: ':memory:'}}
jobs:
  - id: work
    steps:
      - {id: rows, type: db_extract, inputs: {resource: mem, sql: select 1 as a, output: deep/rows.tsv}}
      - {id: out, type: db_extract, inputs: {resource: mem, sql: select 1, output: '{{env.SHARE}}/r.tsv'}}
      - id: write
        type: external.process
        inputs:
          command: [sh, -c, 'umask > umask.by-program; touch "$AETHERFLOW_OUTPUT_DIR/a.by-program"; echo x']
          log: {stdout: file, file_path: logs/out.txt}
          idempotency: {strategy: atomic_dir, temp_output_dir: out.tmp, final_output_dir: out}
      - id: failed
        type: external.process
        continue_on_error: true
        inputs:
          command: [sh, -c, 'exit 3']
          idempotency: {strategy: atomic_dir, temp_output_dir: left.tmp, final_output_dir: left}
      - id: marked
        type: external.process
        inputs: {command: [echo, hi], idempotency: {strategy: marker, marker_path: done.marker}}
      - id: large
        type: external.process
        inputs: {command: [sh, -c, 'head -c 400000 /dev/zero | tr "\\0" x'], log: {stdout: capture}}
  - id: each
    for_each: [1, 2]
    steps:
      - {id: one, type: external.process, inputs: {command: [echo, '{{item}}']}}
"""

SCHEDULE = """
version: 1
items:
  - {id: often, interval_seconds: 1, flow_yaml: rich.yaml}
"""


def below(folder: Path) -> Iterator[Path]:
    """Yield a folder and all that is in it; what programs wrote is their own business."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink() and not path.name.endswith(".by-program"):
            yield path


def run(command: CommandLine, *arguments: str, umask: int, access: str = "") -> int:
    """Run a command under a umask, and return its exit code."""
    done = warm_start.run(
        [AETHERFLOW, *arguments],
        cwd=command.folder,
        env=command.env | {"AETHERFLOW_FILE_ACCESS": access, "SHARE": str(command.folder / "share")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        umask=umask,
    )
    print(done.stdout.decode(), done.stderr.decode())  # noqa: T201 - shown if the test fails
    return done.returncode


def create_everything(command: CommandLine, umask: int, access: str = "") -> None:
    """Run a rich flow, sync a bundle and run a flow of it, and serve."""
    flow = command.write("source/rich.yaml", RICH)
    command.write("rich.yaml", RICH)
    command.write("source/tool.sh", "#!/bin/sh\n").chmod(0o755)
    flow.chmod(0o644)
    command.write(
        "bundle.yaml", "version: 1\nbundle: {id: b, source: {type: filesystem, base_path: source}}\n"
    )
    command.write("schedule.yaml", SCHEDULE)
    under = {"umask": umask, "access": access}
    options = "--events", "events.jsonl", "--run-id"
    assert run(command, "run", "rich.yaml", *options, "r1", umask=umask, access=access) == 0
    assert run(command, "bundle", "sync", "--bundle-manifest", "bundle.yaml", umask=umask, access=access) == 0
    bundled = "rich.yaml", "--bundle-manifest", "bundle.yaml", "--run-id", "r2"
    assert run(command, "run", *bundled, umask=umask, access=access) == 0
    server = warm_start.Popen(
        [AETHERFLOW, "serve", "schedule.yaml", "--events", "served.jsonl"],
        cwd=command.folder,
        env=command.env | {"AETHERFLOW_FILE_ACCESS": access, "SHARE": str(command.folder / "share")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        umask=umask,
    )
    try:
        ended = "select 1 from runs where run_id not in ('r1', 'r2') and status = 'SUCCESS'"
        wait_until(lambda: bool(command.query(ended)), "a firing ended", SECONDS)
        modes = {path.name: path.stat().st_mode for path in command.state.parent.glob("*.sqlite-*")}
        assert modes.keys() == {"aetherflow.sqlite-wal", "aetherflow.sqlite-shm"}
        wanted = 0o660 if access else 0o600
        assert {stat.S_IMODE(mode) for mode in modes.values()} == {wanted}, under
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_what_is_created_is_private_under_every_umask(tmp_path: Path, umask: int) -> None:
    command = CommandLine(tmp_path)
    create_everything(command, umask)
    created = [*below(command.state.parent), tmp_path / "events.jsonl", tmp_path / "served.jsonl"]
    assert {
        path.relative_to(tmp_path): oct(path.stat().st_mode)
        for path in created
        if path.stat().st_mode & PRIVATE
    } == {}
    names = {path.name for path in created}
    assert {"rows.tsv", "out.txt", "done.marker", "out", "left.tmp", "tool.sh", "lock", "outputs"} <= names
    assert len(created) > 60

    bundle = next(path for path in created if path.name == "tool.sh")
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o500
    assert {stat.S_IMODE(path.stat().st_mode) for path in created} <= {0o600, 0o700, 0o400, 0o500}

    # programs have the umask of the user, and so have files in other places
    seen = next(command.state.parent.rglob("umask.by-program"))
    assert int(seen.read_text(), 8) == umask
    assert stat.S_IMODE(seen.stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "share/r.tsv").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("umask", [0, 0o077])
def test_a_group_shares_what_is_created_if_the_setting_says_so(tmp_path: Path, umask: int) -> None:
    command = CommandLine(tmp_path)
    create_everything(command, umask, "group")
    created = [*below(command.state.parent), tmp_path / "events.jsonl", tmp_path / "served.jsonl"]
    folders = [path for path in created if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o2770}
    files = [path for path in created if not path.is_dir()]
    read_only = {stat.S_IMODE(path.stat().st_mode) for path in files if "bundles" in path.parts}
    assert read_only == {0o440, 0o550, 0o660}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if "bundles" not in path.parts} == {0o660}


def test_what_exists_keeps_its_mode_and_doctor_shows_the_command_that_mends_it(tmp_path: Path) -> None:
    command = CommandLine(tmp_path)
    command.write(
        "f.yaml",
        "version: 1\nflow: {id: f}\n"
        "jobs: [{id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}]\n",
    )
    assert run(command, "run", "f.yaml", umask=0o022) == 0
    found = command.run("doctor")
    assert "file access" not in found.out
    wide = {command.state.parent: 0o755, command.state: 0o644}
    for path, mode in wide.items():
        path.chmod(mode)
    assert run(command, "run", "f.yaml", umask=0o022) == 0
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in wide} == wide

    found = command.run("doctor")
    assert found.code == 0
    assert f"{command.state}: every user can read it (0644)" in found.out
    assert f"chmod go= {command.state}" in found.out
    assert command.bash(f"chmod -R go= {command.state.parent}").code == 0
    assert "file access" not in command.run("doctor").out
    shared = command.run("doctor", env={"AETHERFLOW_FILE_ACCESS": "group"})
    assert f"{command.state.parent}: its group cannot read and write it (0700)" in shared.out


GROUP = 4711

MEMBER = """
import importlib, os, pkgutil, sys
import aetherflow, aetherflow_db, sqlite3

for package in (aetherflow, aetherflow_db):  # the Python of the tests may be one that others cannot read
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
user, group, arguments = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
os.setgroups([group])
os.setgid(user)
os.setuid(user)
os.umask(0o077)
sys.argv = ["aetherflow", *arguments]
from aetherflow.__main__ import main
sys.exit(main())
"""

PLAIN = """
version: 1
flow: {id: plain, workspace: {cleanup_policy: never}}
resources:
  mem: {kind: db, driver: sqlite3, config: {path: ':memory:'}}
jobs:
  - id: work
    steps:
      - {id: rows, type: db_extract, inputs: {resource: mem, sql: select 1 as a, output: deep/rows.tsv}}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_members_of_a_group_work_on_one_state_and_one_bundle() -> None:
    with tempfile.TemporaryDirectory() as folder:  # others cannot enter the folders of pytest
        Path(folder).chmod(0o711)
        work_as_members(Path(folder))


def work_as_members(tmp_path: Path) -> None:
    """Let two users of a group run a flow of a bundle in turn."""
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, -1, GROUP)
    shared.chmod(0o2770)
    command = CommandLine(tmp_path)
    command.env |= {"AETHERFLOW_STATE_ROOT": str(shared / "state"), "AETHERFLOW_FILE_ACCESS": "group"}
    command.write("source/plain.yaml", PLAIN)
    command.write(
        "bundle.yaml", "version: 1\nbundle: {id: b, source: {type: filesystem, base_path: source}}\n"
    )
    for number in range(6):  # more snapshots than are kept, so that each removes those of the other
        command.write("source/new.txt", f"{number}")
        run = "run", "plain.yaml", "--bundle-manifest", "bundle.yaml", "--run-id", f"r{number}"
        done = subprocess.run(
            [sys.executable, "-c", MEMBER, str(4001 + number % 2), str(GROUP), *run],
            cwd=tmp_path,
            env=command.env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    snapshots = list(shared.glob("state/work/bundles/b/snapshots/*"))
    assert len(snapshots) == 3
    assert {path.stat().st_gid for path in below(shared)} == {GROUP}
    assert {path.stat().st_uid for path in below(shared / "state")} == {4001, 4002}
