"""A flow as it was written for AetherFlow 0.0 moves files over a real SFTP server."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.testing import run_flow
from tests.servers.sftp_server import PASSWORD, USER, sftp_server

FLOW = """\
version: 1
flow: {id: f}
resources:
  partner:
    kind: sftp
    driver: paramiko
    config: {host: 127.0.0.1, port: PORT, username: USER, password: PASSWORD, insecure_host_key: true}
    options: {timeout: "30"}
jobs:
  - id: fetch
    steps:
      - {id: look, type: sftp_list_files, inputs: {resource: partner, remote_dir: /in, pattern: "*.csv"}}
      - id: get
        type: sftp_download_files
        inputs: {resource: partner, files: "{{steps.look.files}}", dest_dir: got}
      - id: put
        type: sftp_upload_files
        inputs: {resource: partner, items: "{{steps.get.local_files}}", remote_dir: /out}
      - {id: clear, type: sftp_delete_files, inputs: {resource: partner, files: "{{steps.look.files}}"}}
"""


@pytest.mark.asyncio
async def test_an_old_flow_runs_and_every_run_warns_of_the_unchecked_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sftp_server(tmp_path / "server") as server:
        (server.root / "in").mkdir()
        (server.root / "in/a.csv").write_text("1,2\n")
        (server.root / "in/b.csv").write_text("3\n")
        (server.root / "in/note.txt").write_text("x")
        flow = tmp_path / "flow.yaml"
        flow.write_text(
            FLOW.replace("PORT", str(server.port)).replace("USER", USER).replace("PASSWORD", PASSWORD)
        )
        (tmp_path / "run1").mkdir()
        for number in (1, 2):
            run = await run_flow(flow.read_text(), tmp_path / f"run{number}")
            assert run.status == "SUCCESS"
            cautions = [one for one in (*run.logged, *caplog.messages) if "host key" in one]
            assert len(cautions) == 1, cautions
            assert cautions[0].startswith(
                f"resource 'partner': the host key of 127.0.0.1:{server.port} is not"
            )
            caplog.clear()
            if number == 1:
                assert sorted(one.name for one in server.root.glob("*/*")) == ["a.csv", "b.csv", "note.txt"]
                assert (server.root / "out/a.csv").read_text() == "1,2\n"
                outputs = run.step("fetch.put").outputs
                assert outputs["count"] == 2
                assert outputs["manifest"].endswith("/manifests/put.manifest.json")
            (tmp_path / "run2").mkdir(exist_ok=True)
