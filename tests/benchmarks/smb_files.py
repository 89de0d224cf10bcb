"""A share of Samba: 500 MB and 2,000 files of 10 kB, up and down, against Samba's own `smbclient`.

Both are whole commands: ours is `aetherflow run` with one step, with its start, checks, manifest and effects.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Row, command, interleaved

sys.path.insert(0, str(Path(__file__).parents[2]))  # the server of the tests

from tests.servers.samba import Samba, missing_for_samba, samba

AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
BIG_BYTES = 500_000_000
FILES = 2_000
FILE_BYTES = 10_000


def smb_files(folder: Path, rounds: int) -> Iterator[Row]:
    """One large file and many small ones, each way; nothing where Samba is not installed."""
    if reason := missing_for_samba():
        sys.stderr.write(f"smb: not measured, {reason}\n")
        return
    big, small = folder / "big", folder / "small"
    for place, count, size in ((big, 1, BIG_BYTES), (small, FILES, FILE_BYTES)):
        place.mkdir()
        block = os.urandom(1_000_000)
        for number in range(count):
            with (place / f"{number}.bin").open("wb") as file:
                for start in range(0, size, len(block)):
                    file.write(block[: size - start])
    (folder / "server").mkdir()
    with samba(folder / "server", largest_file=None) as server:
        for place, what in ((big, "500 MB"), (small, "2,000 x 10 kB")):
            for name in ("ours", "theirs"):
                (server.data / name / place.name).mkdir(parents=True)
            for way, target in (("up", ">= 0.8x, then 1.3x"), ("down", ">= 0.8x, then 1.5x")):
                ours = command([AETHERFLOW, "run", _flow(folder, server, place, way)], dict(os.environ))
                theirs = command(_smbclient(server, place, way), dict(os.environ))
                times = interleaved(ours, theirs, min(rounds, 3))
                yield Row(f"SMB {way}: {what}", "Samba's smbclient", *times, target)


def _flow(folder: Path, server: Samba, place: Path, way: str) -> str:
    config = (
        f"server: {server.host}, port: {server.port}, share: data, user: {server.user}, "
        f"password: {server.password!r}"
    )
    inputs = f"resource: nas, src_dir: {place}, remote_dir: ours/{place.name}"
    step_type = "smb_upload_files"
    if way == "down":
        step_type = "smb_download_files"
        inputs = f"resource: nas, remote_dir: ours/{place.name}, dest_dir: {folder}/{place.name}-back"
    path = folder / f"{way}-{place.name}.yaml"
    path.write_text(
        f"version: 1\n"
        f"flow: {{id: f, state: {{path: {folder}/s.sqlite}}, workspace: {{root: {folder}/work}}}}\n"
        f"resources: {{nas: {{kind: smb, driver: smbclient, config: {{{config}}}}}}}\n"
        f"jobs: [{{id: a, steps: [{{id: s, type: {step_type}, inputs: {{{inputs}}}}}]}}]\n"
    )
    return str(path)


def _smbclient(server: Samba, place: Path, way: str) -> list[str]:
    here, verb = (place, "mput") if way == "up" else (Path(f"{place}-theirs"), "mget")
    here.mkdir(exist_ok=True)
    orders = f"prompt off; lcd {here}; cd theirs/{place.name}; {verb} *"
    config = server.folder / "client.conf"
    config.touch()
    return [
        *("smbclient", f"//{server.host}/data", "-p", str(server.port), "-s", str(config)),
        *("-U", f"{server.user}%{server.password}", "-c", orders),
    ]
