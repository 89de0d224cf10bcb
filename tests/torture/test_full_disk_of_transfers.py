"""A disk that is full at either end of a transfer: whole files only, and the rest once there is room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aetherflow.testing import run_flow
from tests.servers.openssh import needs_openssh, openssh
from tests.torture.far_servers import content_of

MB = 2**20

pytestmark = [pytest.mark.torture, pytest.mark.asyncio]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Let a folder be a disk of 4 MB."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"this user may not mount a disk: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@needs_openssh
@pytest.mark.parametrize("move", ["upload", "download"])
async def test_a_full_disk_stops_a_transfer_which_resumes_when_there_is_room(
    move: str, tmp_path: Path
) -> None:
    with openssh(tmp_path / "sshd") as server:
        source = tmp_path / "source" if move == "upload" else server.root / "source"
        disk = (server.root if move == "upload" else tmp_path) / "disk"
        source.mkdir()
        for name, size in (("a", 1000), ("b", 2 * MB), ("c", MB * 3 // 2), ("d", 10)):
            (source / name).write_bytes(os.urandom(size))
        there, here = (disk, source) if move == "upload" else (source, disk)
        inputs = {"resource": "far", "remote_dir": str(there), "parallel": 1}
        inputs["src_dir" if move == "upload" else "dest_dir"] = str(here)
        flow = tmp_path / "flow.yaml"
        far = {"kind": "sftp", "driver": "asyncssh", "config": server.config()}
        step = {"id": "go", "type": f"sftp_{move}_files", "inputs": inputs}
        jobs = [{"id": "go", "steps": [step]}]
        flow.write_text(
            json.dumps({"version": 1, "flow": {"id": "f"}, "resources": {"far": far}, "jobs": jobs})
        )
        with small_disk(disk):
            (disk / "ballast").write_bytes(bytes(MB))
            right = content_of(source)
            first = await run_flow(flow, tmp_path / "run", run_id="one")
            assert first.status == "FAILED"
            error = first.step("go.go").error
            assert error is not None
            assert "full" in error.message or "No space left" in error.message, error.message
            assert {n: s for n, s in content_of(disk).items() if n != "ballast"} == {
                n: right[n] for n in "ab"
            }
            (disk / "ballast").unlink()
            second = await run_flow(flow, tmp_path / "run", run_id="one")
            assert second.status == "SUCCESS"
            assert content_of(disk) == right
