"""sftp:paramiko in a step of AetherFlow 0.0.x: its operations wait, and describe files as 0.0 did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepContext, step
from aetherflow.clock import SystemClock
from aetherflow.compat.old_connectors import ConnectorError, RemoteFileMeta
from aetherflow.compat.old_steps import Step, _run
from aetherflow.testing import FakeRun, run_step
from tests.plugins.sftp_resources import opened
from tests.servers.sftp_server import sftp_server


class OldTransfer(Step):
    """What a step of the old kind does with an SFTP connector."""

    def run(self) -> dict[str, Any]:
        box = self.ctx.connectors.sftp("box")
        local = Path(self.inputs["folder"]) / "local.txt"
        local.write_text("local")
        with box.session() as session:
            session.mkdir_recursive("/in/deep")
        with box:
            box.upload(str(local), "/in/up/local.txt")
        box.write_bytes("/in/a.txt", b"abc")
        box.download("/in/a.txt", str(local))
        box.rename("/in/up/local.txt", "/in/b.txt")
        listed = box.list("/in")
        assert all(isinstance(one, RemoteFileMeta) and isinstance(one.mtime, int) for one in listed)
        box.mkdir("/new")
        box.delete("/in/deep")
        box.delete_recursive("/in/up")
        assert box.stat("/in/up") is None
        assert not box.exists("/in/deep")
        try:
            box.read_bytes("/none")
        except ConnectorError as error:
            failed = str(error)
        box.close()
        return {
            "listed": [[one.name, one.path, one.is_dir, one.size] for one in listed],
            "read": box.read_bytes("/in/b.txt").decode(),
            "downloaded": local.read_text(),
            "failed": "it does not exist" in failed,
        }


@step("old_transfer")
async def old_transfer(context: StepContext, inputs: dict[str, Any]) -> Any:
    """Run it as the engine does."""
    return await _run(OldTransfer, context, inputs)


@pytest.mark.asyncio
async def test_an_old_step_uses_every_operation(tmp_path: Path) -> None:
    async with sftp_server(tmp_path / "server") as server, opened(server.config()) as box:
        run = FakeRun(tmp_path / "run", clock=SystemClock(), connectors={"box": box})
        outputs = (await run_step(old_transfer, {"folder": str(tmp_path)}, run)).outputs

    assert outputs == {
        "listed": [
            ["a.txt", "/in/a.txt", False, 3],
            ["b.txt", "/in/b.txt", False, 5],
            ["deep", "/in/deep", True, 0],
            ["up", "/in/up", True, 0],
        ],
        "read": "local",
        "downloaded": "abc",
        "failed": True,
    }
