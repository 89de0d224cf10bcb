"""`kill -9` in the middle of a transfer of 200 files: resumed to its end, all bytes right, no file twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests import sizes
from tests.cli.command_line import CommandLine

FILES = 200
KILLS = 12 if sizes.LARGE else 1

FLOW = """
version: 1
flow: {id: f}
resources:
  box: {kind: file, driver: local, config: {path: box}}
jobs:
  - id: a
    steps:
      - id: get
        type: file_download_files
        inputs:
          resource: box
          remote_dir: in
          dest_dir: DIR/got
          bandwidth_limit: 1MB/s
          after: move
          move_to: archive
      - id: put
        type: file_upload_files
        inputs:
          resource: box
          src_dir: DIR/got
          remote_dir: out
          transactional: IS_TRANSACTIONAL
          bandwidth_limit: 1MB/s
          after: delete
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def progress(cli: CommandLine) -> int:
    """Return how many files have got a name so far, in any of the folders."""
    folders = (cli.folder / "got", cli.folder / "box/out", cli.folder / "box/archive")
    found = [[path.name for path in folder.iterdir()] for folder in folders if folder.exists()]
    return sum(not name.startswith(".") for names in found for name in names)


@pytest.mark.parametrize("is_transactional", ["false", "true"])
def test_a_killed_transfer_is_resumed_to_the_end(cli: CommandLine, is_transactional: str) -> None:
    seed = int(os.environ.get("AETHERFLOW_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)  # noqa: S311 - no secret
    source = cli.folder / "box/in"
    source.mkdir(parents=True)
    for number in range(FILES):
        (source / f"{number}.bin").write_bytes(chance.randbytes(chance.choice([0, 100, 10_000])))
    expected = contents(source)
    text = FLOW.replace("DIR", str(cli.folder)).replace("IS_TRANSACTIONAL", is_transactional)
    cli.write("flow.yaml", text)

    points = sorted(chance.sample(range(20, 2 * FILES), KILLS))
    for point in points:
        with cli.start("run", "flow.yaml", "--run-id", "r") as running:
            while running.process.poll() is None and progress(cli) < point:
                time.sleep(0.005)
            running.process.send_signal(signal.SIGKILL)
        for folder in ("got", "box/out", "box/archive"):
            named = {k: v for k, v in contents(cli.folder / folder).items() if not k.startswith(".")}
            assert named.items() <= expected.items(), (seed, point)

    result = cli.run("run", "flow.yaml", "--run-id", "r")
    assert result.code == 0, (seed, result.err)
    assert contents(cli.folder / "box/out") == expected, seed
    assert contents(cli.folder / "box/archive") == expected, seed  # no second copies, such as 5.1.bin
    assert contents(source) == contents(cli.folder / "got") == {}, seed
    print(f"seed {seed}: killed when {points} files had moved")  # noqa: T201 - its counts, for people
