"""A flow that packs and unpacks, by `validate` and `run`, and the connector as plugins of 0.0 call it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from aetherflow_archive.zip_connectors import ZipfileConnector

from aetherflow import Resource, StepError
from tests.cli.command_line import CommandLine, flow

PACK = "- {id: z, type: zip, inputs: {dest_path: /DIR/o.zip, items: [a.csv], src_dir: /DIR}}"
DEFAULT = "resources: {archive_default: {kind: archive, driver: zipfile}}\n"


def test_the_default_resource_is_used_without_being_named(cli: CommandLine) -> None:
    text = flow(PACK.replace("/DIR", str(cli.folder)))
    cli.write("a.csv", "a")
    cli.write("flow.yaml", text + DEFAULT)
    valid, done = cli.run("validate", "flow.yaml"), cli.run("run", "flow.yaml")
    cli.write("flow.yaml", text + DEFAULT.replace("archive_default", "other"))
    unused = cli.run("validate", "flow.yaml")

    assert (valid.code, valid.err, done.code) == (0, "", 0), (valid, done)
    assert zipfile.ZipFile(cli.folder / "o.zip").namelist() == ["a.csv"]
    assert "no step uses the resource 'other'" in unused.out + unused.err


@pytest.mark.asyncio
async def test_the_calls_of_plugins_of_0_0(tmp_path: Path) -> None:
    connector = await ZipfileConnector.open(Resource("z", "archive", "zipfile"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").write_text("a")
    packed = connector.create_zip(
        output=tmp_path / "o.zip", files=[tmp_path / "d" / "a.csv"], base_dir=tmp_path, compression="deflated"
    )
    unpacked = connector.extract_zip(archive=str(tmp_path / "o.zip"), dest_dir=str(tmp_path / "in"))

    assert packed == {"output": f"{tmp_path}/o.zip", "count": 1, "password": False, "driver": "zipfile"}
    assert unpacked == {
        "dest_dir": f"{tmp_path}/in",
        "files": [f"{tmp_path}/in/d/a.csv"],
        "password": False,
        "driver": "zipfile",
    }
    with pytest.raises(FileExistsError):
        connector.create_zip(output=tmp_path / "o.zip", files=[], base_dir=tmp_path, overwrite=False)
    with pytest.raises(StepError, match="cannot write an encrypted archive"):
        connector.create_zip(output=tmp_path / "p.zip", files=[], base_dir=tmp_path, password="p")  # noqa: S106
