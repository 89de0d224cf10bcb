from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aetherflow.errors import StateUnusable
from aetherflow.mounts import find_mount
from aetherflow.store import sqlite_errors
from aetherflow.store.filesystem import NETWORK_FILE_SYSTEMS, refuse_network
from tests.store.real_parts import opened

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:40 / /home rw,relatime shared:20 master:3 - nfs4 files:/home rw,vers=4.2
41 40 254:3 / /home/local rw,relatime - xfs /dev/vdb rw
42 27 0:41 / /mnt/two\040words rw,relatime - cifs //files/share rw
43 27 0:42 / /mnt/auto rw,relatime - autofs systemd-1 rw
44 43 0:43 / /mnt/auto rw,relatime - nfs files:/auto rw
45 27 0:44 / /mnt/tab\011and\134slash rw - fuse.sshfs me@host: rw
46 27 0:45 / /mnt/dash - - rw
""".strip()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/state.sqlite", "ext4"),
        ("/var/lib/state.sqlite", "ext4"),
        ("/proc/x", "proc"),
        ("/home/me/state.sqlite", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/state.sqlite", "ext4"),
        ("/home/local/state.sqlite", "xfs"),
        ("/mnt/two words/state.sqlite", "cifs"),
        ("/mnt/two/state.sqlite", "ext4"),
        ("/mnt/tab\tand\\slash/state.sqlite", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_point_says_the_file_system(path: str, expected: str) -> None:
    assert find_mount(path, MOUNTS).kind == expected


def test_of_two_mounts_at_one_point_the_later_counts() -> None:
    assert find_mount("/mnt/auto/state.sqlite", MOUNTS) == ("0:43", "nfs")


@pytest.mark.parametrize("text", ["", "\n", "a b c", "1 2 3 / - ext4", "1 2 3 4 /other rw - nfs x rw"])
def test_a_path_that_no_mount_point_holds_has_no_file_system(text: str) -> None:
    assert find_mount("/state.sqlite", text) == ("", "")


def test_no_file_system_of_one_host_is_called_a_network() -> None:
    local = {"ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "virtiofs", "fuse.ntfs-3g", "ext3"}

    assert NETWORK_FILE_SYSTEMS.isdisjoint(local)


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is read in place of the kernel's: here the state folder is on a share."""
    text = tmp_path / "mountinfo"
    text.write_text(
        f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {tmp_path}/share rw - nfs4 files:/share rw\n"
    )
    monkeypatch.setattr("aetherflow.mounts._MOUNTS", text)
    return text


@pytest.mark.usefixtures("mounts")
@pytest.mark.asyncio
async def test_a_database_on_a_network_file_system_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "share" / "state.sqlite"
    with pytest.raises(StateUnusable) as caught:
        async with opened(path):
            pass

    assert caught.value.code == "AF606"
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"{path}: it is on a network file system (nfs4)")
    assert "local disk" in caught.value.hint
    assert not path.exists()


@pytest.mark.usefixtures("mounts")
@pytest.mark.asyncio
async def test_a_database_beside_the_share_is_opened(tmp_path: Path) -> None:
    async with opened(tmp_path / "local" / "state.sqlite"):
        pass

    assert (tmp_path / "local" / "state.sqlite").exists()


@pytest.mark.usefixtures("mounts")
def test_a_link_into_the_share_is_followed(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")

    with pytest.raises(StateUnusable):
        refuse_network(tmp_path / "link" / "state.sqlite")


def test_a_platform_that_does_not_say_is_not_checked(mounts: Path, tmp_path: Path) -> None:
    mounts.unlink()

    refuse_network(tmp_path / "share" / "state.sqlite")


def test_this_machine_is_read_without_an_error(tmp_path: Path) -> None:
    refuse_network(tmp_path / "state.sqlite")


def test_what_cannot_be_opened_on_a_read_only_mount_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says CANTOPEN, and not READONLY, when it cannot make the log."""
    monkeypatch.setattr(sqlite_errors, "is_mounted_read_only", lambda _: True)
    with pytest.raises(sqlite3.OperationalError, match="unable to open") as caught:
        sqlite3.connect(tmp_path / "no" / "a.db")
    error = sqlite_errors.explained(tmp_path / "no" / "a.db", caught.value, StateUnusable)
    assert "its file system is mounted read-only" in error.message
    assert "mount it for writing" in error.hint
