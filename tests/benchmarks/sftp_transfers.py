"""Large and many small files over SFTP against OpenSSH's sftp and rclone, on loopback.

All are whole commands: ours is `aetherflow run` with one step; the step alone is measured too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row, Timed, removing, timed
from one_step import Took, one_step, step_row

from tests.servers.openssh import OpenSsh, openssh

LARGE_BYTES = int(os.environ.get("SFTP_MEGABYTES", "500")) * 2**20
SMALL_FILES = int(os.environ.get("SFTP_FILES", "2000"))
SMALL_BYTES = 10_000
BLOCK = 2**20


def sftp_transfers(folder: Path, rounds: int) -> Iterator[Row]:
    """500 MB in one file, and 2,000 files of 10 kB, up and down, each measured in turn with its floors."""
    if not shutil.which("sftp"):
        sys.stderr.write("no sftp: install openssh-client and openssh-server\n")
        return
    with openssh(folder / "sshd") as server:
        for name, make, target in (
            (f"{LARGE_BYTES // 2**20} MB over SFTP", _large, ">= 1.2x the rate, then 1.8x"),
            (f"{SMALL_FILES} files of 10 kB over SFTP", _small, ">= 1.0x the rate"),
        ):
            here = folder / f"sent-{make.__name__}"
            here.mkdir()
            make(here)
            there = server.root / here.name
            shutil.copytree(here, there)
            for way in ("up", "down"):
                ours = _step(folder, server, way, here, there)
                for rival, floor in _rivals(folder, server, way, here, there):
                    yield step_row(f"{name}, {way}", rival, ours, floor, rounds, target)


def _large(folder: Path) -> None:
    with (folder / "large.bin").open("wb") as file:
        for _ in range(LARGE_BYTES // BLOCK):
            file.write(os.urandom(BLOCK))


def _small(folder: Path) -> None:
    for number in range(SMALL_FILES):
        (folder / f"{number:05}.csv").write_bytes(os.urandom(SMALL_BYTES))


def _step(folder: Path, server: OpenSsh, way: str, here: Path, there: Path) -> Callable[[], Took]:
    if way == "up":
        step, inputs = "sftp_upload_files", f"src_dir: {here}, remote_dir: {server.root}/ours"
    else:
        step, inputs = "sftp_download_files", f"remote_dir: {there}, dest_dir: {folder}/ours"
    resource = f"{{kind: sftp, driver: asyncssh, config: {server.config()}}}"
    run = one_step(folder / f"{way}-{here.name}", resource, step, inputs)
    return removing(run, folder / "ours", server.root / "ours")


def _rivals(folder: Path, server: OpenSsh, way: str, here: Path, there: Path) -> Iterator[tuple[str, Timed]]:
    target = server.root / "theirs" if way == "up" else folder / "theirs"
    source = here if way == "up" else there
    verb = "put" if way == "up" else "get"
    key = ["-i", str(server.user_key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    words = ["sftp", "-q", "-b", "-", "-P", str(server.port), *key, f"{server.user}@127.0.0.1"]

    def sftp() -> None:
        target.mkdir()
        batch = f"{verb} {source}/* {target}/\n".encode()
        subprocess.run(words, input=batch, check=True, capture_output=True)

    yield "sftp of OpenSSH, its default cipher", removing(lambda: timed(sftp), target)
    if not shutil.which("rclone"):
        return
    remote = f":sftp,host=127.0.0.1,port={server.port},user={server.user},key_file={server.user_key}:"

    def rclone() -> None:
        pair = [str(source), f"{remote}{target}"] if way == "up" else [f"{remote}{source}", str(target)]
        subprocess.run(["rclone", "--config", "", "copy", *pair], check=True, capture_output=True)

    yield "rclone copy", removing(lambda: timed(rclone), target)
