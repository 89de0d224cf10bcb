"""Listings of real servers: many files, loops of links, names that cannot be used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aetherflow import RemoteFiles, StepError
from aetherflow.testing import FakeRun
from aetherflow.transfer.listing import list_remote
from aetherflow.transfer.remote_inputs import RemoteDirInputs
from tests.plugins.sftp_resources import opened
from tests.servers.openssh import needs_openssh, openssh

MANY = 10_000


async def listed(place: Path, box: RemoteFiles, folder: str, **more: object) -> list[str]:
    inputs = RemoteDirInputs(resource="r", remote_dir=folder, **more)  # type: ignore[arg-type]  # of a test
    return [one.rel_path for one in await list_remote(FakeRun(place).context(), box, folder, inputs)]


def filled(root: Path) -> tuple[Path, Path]:
    """Make a folder of many files, and a tree with loops and odd names."""
    many, tree = root / "many", root / "tree"
    for folder in (many, tree / "below"):
        folder.mkdir(parents=True)
    for number in range(MANY):
        (many / f"{number:05}.csv").touch()
    (tree / "below" / "a.csv").write_text("a")
    (tree / "below" / "loop").symlink_to("..")
    (tree / "below" / "self.csv").symlink_to("self.csv")
    for name in (b"two\nlines.csv", b"caf\xe9.csv", b"back\\slash.csv"):
        (tree / os.fsdecode(name)).touch()
    return many, tree


@needs_openssh
@pytest.mark.asyncio
async def test_a_folder_of_openssh_with_many_files_loops_and_odd_names(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd") as sshd:
        many, tree = filled(sshd.root)
        async with opened(sshd.config()) as box:
            began = time.process_time()
            assert len(await listed(tmp_path, box, str(many))) == MANY
            assert time.process_time() - began < 10
            good = {"recursive": True, "exclude": ["two*", "caf*", "back*"]}
            assert await listed(tmp_path, box, str(tree), **good) == ["below/a.csv"]
            for shown in ("two\\nlines.csv", "caf\\udce9.csv", "back\\\\slash.csv"):
                with pytest.raises(StepError, match="cannot be used") as raised:
                    await listed(tmp_path, box, str(tree), pattern=f"{shown[:3]}*")
                assert (raised.value.code, f"'{shown}'" in raised.value.message) == ("AF301", True)
