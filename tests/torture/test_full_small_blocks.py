"""A full disk under SQLite's shared index: every command says what is wrong, and none dies of a signal.

On a file system with blocks of 1 KiB the index is a file with holes; the kernel kills a process that touches
one when the disk is full.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import warm_start
from tests.cli.command_line import OK
from tests.sizes import LARGE
from tests.torture.processes import query
from tests.warm_start import COMMAND

pytestmark = pytest.mark.torture

FREE_KIB = range(0, 160, 4) if LARGE else (0, 24)

FULL_TMPFS = """
set -e
mount -t tmpfs -o size=400k tmpfs "$FOLDER"
echo mounted
"$COMMAND" run "$FLOW" --run-id first > /dev/null 2>&1
[ ! -e "$STATE-shm" ]  # there was room to close the database
head -c 1m /dev/zero > "$FOLDER/fill" 2> /dev/null || true
set +e
for words in "run $FLOW --run-id second" "runs list --state $STATE" "runs show first --state $STATE"; do
    "$COMMAND" $words > /dev/null 2> said; echo "$? $(cat said)"
done
"""


@pytest.fixture
def small_blocks(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB with blocks of 1 KiB."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    for command in (
        ["mkfs.ext4", "-q", "-b", "1024", "-m", "0", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            pytest.skip(f"cannot make a file system with small blocks here: {error}")
        if done.returncode:
            pytest.skip(f"cannot mount a file system with small blocks here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(file: Path) -> None:
    """Take all room of a file system; what it sets free a little later too."""
    for _ in range(4):
        command = ["dd", "if=/dev/zero", f"of={file}", "bs=1k", "oflag=append", "conv=notrunc"]
        subprocess.run(command, capture_output=True, check=False)
        os.sync()


def write_flow(folder: Path, state: Path) -> Path:
    flow = folder / "flow.yaml"
    flow.write_text(OK.replace("{id: f}", f"{{id: f, state: {{path: {state}}}}}"))
    return flow


def tried(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return warm_start.run([COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)


def test_on_a_full_disk_with_small_blocks_every_command_ends_with_a_message(
    small_blocks: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    state, filler = small_blocks / "state.sqlite", small_blocks / "fill"
    flow = write_flow(tmp_path, state)
    assert tried("run", flow, "--run-id", "first").returncode == 0
    refused = 0
    for free in FREE_KIB:
        fill(filler)
        os.truncate(filler, filler.stat().st_size - free * 1024)
        os.sync()
        run = tried("run", flow, "--run-id", f"with-{free}")
        assert run.returncode in (0, 1, 2), f"{free} KiB free: {run}"
        if run.returncode:
            refused += 1
            assert f"the state database {state} cannot be used: the disk is full" in run.stderr
            assert f"the disk of {small_blocks} has " in run.stderr
        looks = [("runs", "list"), ("runs", "show", "first"), ("locks", "list")]
        for words in looks:
            look = tried(*words, "--state", state)
            assert look.returncode == 0, f"{free} KiB free: {look}"
        assert tried("doctor", flow).returncode in (0, 2)
    filler.unlink()
    assert refused > 0
    assert tried("run", flow, "--run-id", "last").returncode == 0
    assert query(state, "PRAGMA integrity_check") == [("ok",)]
    count = len(FREE_KIB)
    record_property(
        "torture",
        f"ext4 with 1 KiB blocks, {count} times nearly full: {refused} runs refused, {5 * count} commands, "
        "0 died of a signal",
    )


def test_on_a_full_file_system_of_a_user_runs_are_refused_and_can_be_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    state = folder / "state.sqlite"
    flow = write_flow(tmp_path, state)
    names = {"FOLDER": str(folder), "STATE": str(state), "FLOW": str(flow), "COMMAND": str(COMMAND)}
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so a user cannot mount here (Debian: apt-get install util-linux)")
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", FULL_TMPFS],
        cwd=tmp_path,
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mounted" not in done.stdout:
        pytest.skip(f"a user may not mount here: {done.stderr.strip()}")
    run, listed, shown = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert run.startswith("2 error[AF601]"), done
    assert "cannot be used: the disk is full, its index has no room there" in run
    assert (listed, shown) == ("0 ", "0 ")
