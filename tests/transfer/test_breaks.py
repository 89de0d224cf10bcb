"""The connection breaks at every operation: no half file under a name, and all bytes in the end."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.step import StepType
from aetherflow.testing import FakeRun, run_step
from aetherflow.transfer.shipped_steps import file_download_files, file_upload_files
from tests import sizes
from tests.transfer.breaking_files import BreakingFiles

SIZES = {
    "sending": {"BACK_BYTES": 32, "TAIL_BYTES": 16, "SMALL_BYTES": 64},
    "receiving": {"TAIL_BYTES": 16, "SMALL_BYTES": 64},
    "local_source": {"BLOCK_BYTES": 64},
    "local_target": {"BLOCK_BYTES": 64},
    "rate": {"BLOCK_BYTES": 64, "LEAST_BLOCK": 16},
}
"""The sizes of these tests, by module of `aetherflow.transfer`: a few bytes are a large file."""

FILES = {"a.bin": os.urandom(250), "b.bin": b"b" * 20, "c.bin": b""}
OPERATIONS = range(1, 400, 1 if sizes.LARGE else 2)

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "transactional": {"transactional": True},
    "checksum": {"verify": "checksum"},
    "fail": {"overwrite": "fail"},
    "transactional fail": {"transactional": True, "overwrite": "fail", "preserve_mtime": True},
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, small in SIZES.items():
        for name, size in small.items():
            monkeypatch.setattr(f"aetherflow.transfer.{module}.{name}", size)


async def attempts(
    run: FakeRun, step: StepType, inputs: dict[str, Any], far: BreakingFiles, check: Any
) -> int:
    """Try until it succeeds, the connection whole again after each failure; return how often it failed."""
    for failures in range(10):
        try:
            await run_step(step, inputs, run)
        except StepError as error:
            assert error.message == "the connection is lost", failures  # noqa: PT017 - the loop goes round
            check(whole=False)
            far.left = 10**9
        else:
            check(whole=True)
            return failures
    raise AssertionError("it never succeeds")


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", [False, True])
async def test_an_upload_arrives_whole_wherever_it_breaks(
    tmp_path: Path,
    mode: str,
    after: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, data in FILES.items():
        (out / name).write_bytes(data)
    inputs = {"resource": "box", "remote_dir": "/in", "src_dir": str(out), "parallel": 1, **MODES[mode]}
    failures = continued = 0
    for left in OPERATIONS:
        far = BreakingFiles(left=left, after=after)

        def check(*, whole: bool, far: BreakingFiles = far) -> None:
            named = {path[4:]: data for path, data in far.files.items() if path.endswith(".bin")}
            assert named.items() <= FILES.items()
            rest = [path for path in far.files if path.endswith(".part")]
            assert not whole or (named == FILES and not rest)

        run = FakeRun(tmp_path / f"run{left}", connectors={"box": far})
        failed = await attempts(run, file_upload_files, inputs, far, check)
        failures += failed
        continued += any("continued at" in line for line in run.logged)
        if not failed:
            break
    assert failures > 10
    assert continued > 1


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", MODES)
async def test_a_download_arrives_whole_wherever_it_breaks(tmp_path: Path, mode: str) -> None:
    inputs = {"resource": "box", "remote_dir": "/in", "dest_dir": "got", "parallel": 1, **MODES[mode]}
    failures = continued = 0
    for left in OPERATIONS:
        far = BreakingFiles({f"/in/{name}": data for name, data in FILES.items()}, left=left)
        if mode == "checksum":
            far.files |= {f"/in/{n}.sha256": sha256(d).hexdigest().encode() for n, d in FILES.items()}
            inputs["pattern"] = "*.bin"
        run = FakeRun(tmp_path / f"run{left}", connectors={"box": far})
        got = run.context().artifacts / "got"

        def check(*, whole: bool, got: Path = got) -> None:
            found = {one.name: one.read_bytes() for one in got.iterdir()} if got.exists() else {}
            named = {name: data for name, data in found.items() if not name.endswith(".part")}
            assert named.items() <= FILES.items()
            assert not whole or found == FILES

        failed = await attempts(run, file_download_files, inputs, far, check)
        failures += failed
        continued += any("continued at" in line for line in run.logged)
        if not failed:
            break
    assert failures > 10
    assert continued > 1
