"""The steps of kind smb in flows, on Samba's server, also when the connection is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.testing import run_flow
from tests.servers.samba import Samba
from tests.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio


def flow(server: Samba, *steps: dict[str, Any], **config: Any) -> str:
    """Return a flow with one job of these steps and a resource `nas`."""
    nas = {"kind": "smb", "driver": "smbclient", "config": server.config(**config), "options": {"timeout": 5}}
    jobs = [{"id": "a", "steps": list(steps)}]
    return msgspec.json.encode(
        {"version": 1, "flow": {"id": "f"}, "resources": {"nas": nas}, "jobs": jobs}
    ).decode()


def step(name: str, verb: str, inputs: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": f"smb_{verb}_files", "inputs": {"resource": "nas", **inputs}, **keys}


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


async def test_files_are_sent_listed_fetched_and_deleted_as_flows_of_0_0_do_it(
    samba_server: Samba, tmp_path: Path
) -> None:
    top = samba_server.new_folder()
    local = [str(tmp_path / f"{name}.csv") for name in "ab"]
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(name)
    folder = f"DATA:/{top}/in"
    text = flow(
        samba_server,
        step("send", "upload", {"local_files": local, "remote_dir": folder}),
        step("look", "list", {"remote_dir": folder, "pattern": "*.csv"}),
        step("fetch", "download", {"files": "{{steps.look.files}}", "dest_dir": str(tmp_path / "back")}),
        step("clear", "delete", {"files": "{{steps.look.files}}"}),
        step("none", "list", {"remote_dir": folder}),
    )

    ended = await run_flow(text, made(tmp_path / "run"), run_id="r")

    assert ended.status == "SUCCESS"
    sent, found = ended.step("a.send").outputs, ended.step("a.look").outputs
    assert (sent["uploaded"], sent["remote_dir"]) == (local, folder)
    assert [(file["path"], file["rel_path"]) for file in found["files"]] == [
        (f"{folder}/a.csv", "a.csv"),
        (f"{folder}/b.csv", "b.csv"),
    ]
    assert (tmp_path / "back/a.csv").read_text() == "a"
    assert ended.step("a.clear").outputs["is_deleted"] is True
    assert ended.step("a.none").status == "SKIPPED"
    assert list((samba_server.data / top / "in").iterdir()) == []


async def test_an_upload_that_is_cut_is_continued_by_its_retry(samba_server: Samba, tmp_path: Path) -> None:
    top = samba_server.new_folder()
    content = bytes(range(256)) * 40_000
    (tmp_path / "big.bin").write_bytes(content)
    retry = {"max_attempts": 3, "backoff_seconds": 0.1, "retry_on": ["connection"]}
    with TcpProxy(samba_server.port) as proxy:
        inputs = {"local_files": [str(tmp_path / "big.bin")], "remote_dir": top}
        text = flow(samba_server, step("send", "upload", inputs, retry=retry), port=proxy.port)
        proxy.cut_after(6_000_000, "up")

        ended = await run_flow(text, made(tmp_path / "run"), run_id="r")

        assert proxy.cuts == 1
    assert ended.status == "SUCCESS"
    assert [path.name for path in (samba_server.data / top).iterdir()] == ["big.bin"]
    assert (samba_server.data / top / "big.bin").read_bytes() == content


@pytest.mark.parametrize("name", ["con.txt", "a?.csv", "ends with a dot."])
async def test_a_name_that_windows_does_not_allow_fails_before_anything_is_sent(
    samba_server: Samba, tmp_path: Path, name: str
) -> None:
    top = samba_server.new_folder()
    for one in ("fine.csv", name):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / one).write_text("x")
    text = flow(samba_server, step("send", "upload", {"src_dir": str(tmp_path / "out"), "remote_dir": top}))

    ended = await run_flow(text, made(tmp_path / "run"), run_id="r")

    assert ended.status == "FAILED"
    assert name in str(ended.step("a.send").error)
    assert list((samba_server.data / top).iterdir()) == []
