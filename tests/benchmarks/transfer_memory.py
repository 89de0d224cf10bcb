"""The memory of a run that moves 500 MB over SFTP or SMB against one that moves 50 MB, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import Row

from tests.servers.openssh import SSHD, openssh
from tests.servers.samba import missing_for_samba, samba

AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
FEW, MANY = 50, 500
"""Megabytes."""


def transfer_memory(folder: Path, _rounds: int) -> Iterator[Row]:
    """Measure each server that is installed here."""
    if Path(SSHD).exists():
        with openssh(folder / "memory-sshd") as sshd:
            far = {"kind": "sftp", "driver": "asyncssh", "config": sshd.config()}
            yield from _peaks(folder, far, f"{sshd.root}/", sshd.root)
    if not missing_for_samba():
        (folder / "memory-smbd").mkdir()
        with samba(folder / "memory-smbd", largest_file=None) as smbd:
            far = {"kind": "smb", "driver": "smbclient", "config": smbd.config()}
            yield from _peaks(folder, far, "", smbd.data)


def _peaks(folder: Path, far: dict[str, Any], root: str, disk: Path) -> Iterator[Row]:
    place = folder / f"memory-{far['kind']}"
    place.mkdir()
    peaks: dict[tuple[str, int], float] = {}
    for size in (FEW, MANY):
        source = place / f"source-{size}"
        source.mkdir()
        with (source / "large.bin").open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1_000_000))
        up = {"remote_dir": f"{root}there-{size}", "src_dir": str(source)}
        down = {"remote_dir": f"{root}there-{size}", "dest_dir": str(place / "back")}
        peaks["up", size] = _peak(place, far, "upload", up)
        peaks["down", size] = _peak(place, far, "download", down)
        for done in (source, place / "back", disk / f"there-{size}"):
            shutil.rmtree(done)
    for way in ("up", "down"):
        pair = peaks[way, MANY], peaks[way, FEW]
        yield Row(
            f"memory of {MANY} MB over {far['kind'].upper()}, {way}", f"of {FEW} MB", *pair, "<= 1.1x", "MB"
        )


def _peak(place: Path, far: dict[str, Any], move: str, inputs: dict[str, str]) -> float:
    """Run a flow of one step, and return how much memory (MB) its process had at most."""
    step = {"id": "s", "type": f"{far['kind']}_{move}_files", "inputs": {"resource": "far", **inputs}}
    flow = {
        "version": 1,
        "flow": {
            "id": "f",
            "state": {"path": str(place / "s.sqlite")},
            "workspace": {"root": str(place / "work")},
        },
        "resources": {"far": far},
        "jobs": [{"id": "a", "steps": [step]}],
    }
    path = place / "flow.yaml"
    path.write_text(json.dumps(flow))
    with subprocess.Popen(
        [AETHERFLOW, "run", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "aetherflow run")
    return usage.ru_maxrss / 1000
