"""A share of Samba: 500 MB and 2,000 files of 10 kB, up and down, against Samba's own `smbclient`.

Both are whole commands: ours is `aetherflow run` with one step, with its start, checks, manifest and effects;
the step alone is measured too. The files are new where they arrive. Both connections are encrypted, with the
same cipher (AES-128-GCM): the server wants that, and both clients have it.

What limits us, in CPU seconds on two cores. 500 MB down: the SHA-256 of the manifest takes 0.29, import and
login 0.07; the rest is what smbclient spends. Small files up: one smbd does all the work and is busy all the
time. For each file it searches the folder twice for a free name, the temporary one and the last one;
smbclient uses the last one only.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row, Timed, command, removing
from one_step import Took, one_step, step_row

sys.path.insert(0, str(Path(__file__).parents[2]))  # the server of the tests

from tests.servers.samba import Samba, missing_for_samba, samba

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
            shutil.copytree(place, server.data / place.name)
            for way, target in (("up", ">= 0.8x, then 1.3x"), ("down", ">= 0.8x, then 1.5x")):
                ours, theirs = _step(folder, server, place, way), _smbclient(folder, server, place, way)
                rival, most = "Samba's smbclient", min(rounds, 3)
                yield step_row(f"SMB {way}: {what}", rival, ours, theirs, most, target)


def _step(folder: Path, server: Samba, place: Path, way: str) -> Callable[[], Took]:
    config = (
        f"server: {server.host}, port: {server.port}, share: data, user: {server.user}, "
        f"password: {server.password!r}"
    )
    resource = f"{{kind: smb, driver: smbclient, config: {{{config}}}}}"
    if way == "up":
        step, inputs = "smb_upload_files", f"src_dir: {place}, remote_dir: ours"
    else:
        step, inputs = "smb_download_files", f"remote_dir: {place.name}, dest_dir: {folder}/ours"
    run = one_step(folder / f"{way}-{place.name}", resource, step, inputs)
    return removing(run, folder / "ours", server.data / "ours")


def _smbclient(folder: Path, server: Samba, place: Path, way: str) -> Timed:
    here = place if way == "up" else folder / "theirs"
    there, verb = ("theirs", "mput") if way == "up" else (place.name, "mget")
    made = "mkdir theirs; " if way == "up" else ""
    config = server.folder / "client.conf"
    config.touch()
    words = [
        *("smbclient", f"//{server.host}/data", "-p", str(server.port), "-s", str(config)),
        *("-U", f"{server.user}%{server.password}"),
        *("-c", f"prompt off; lcd {here}; {made}cd {there}; {verb} *"),
    ]
    run = command(words, dict(os.environ))

    def transfer() -> float:
        here.mkdir(exist_ok=True)
        return run()

    return removing(transfer, folder / "theirs", server.data / "theirs")
