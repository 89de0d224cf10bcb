"""Files for plugins: whole or not at all, checksums, listing, limits on what is really read."""

from __future__ import annotations

import hashlib
import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepError, files
from aetherflow.sdk.file_selection import FileEntry
from aetherflow.sdk.files import ChecksumFile, ReadLimit


def test_a_folder_is_listed_without_folders_and_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "a").write_text("xyz")
    (tmp_path / "in/b").touch()
    (tmp_path / "in/deep/c").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.utime(tmp_path / "a", (1_767_312_000, 1_767_312_000))

    assert [entry.path for entry in files.list_files(tmp_path)] == ["a"]
    entries = {entry.path: entry for entry in files.list_files(tmp_path, recursive=True)}
    assert entries.keys() == {"a", "in/b", "in/deep/c"}
    assert entries["a"] == FileEntry("a", 3, datetime(2026, 1, 2, tzinfo=UTC))
    assert entries["in/b"].name == "b"
    with pytest.raises(FileNotFoundError):
        list(files.list_files(tmp_path / "nowhere"))


class Trickle(io.BytesIO):
    """A file that takes one byte at a time, as a raw file over a network may."""

    def write(self, data: Any) -> int:
        return super().write(bytes(data)[:1])


def test_a_checksum_is_taken_while_a_file_is_written_also_piece_by_piece() -> None:
    raw = Trickle()
    file = ChecksumFile(raw)
    assert file.write(b"hello ") == 6
    assert file.write(b"world") == 5
    assert raw.getvalue() == b"hello world"
    assert (file.size, file.hexdigest()) == (11, hashlib.sha256(b"hello world").hexdigest())


def test_a_checksum_is_taken_while_a_file_is_read_and_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    with path.open("rb") as raw:
        file = ChecksumFile(raw, "md5")
        while file.read():
            pass
    assert file.size == 3_000_000
    assert file.hexdigest() == files.checksum(path, "md5")
    assert files.checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_without_fsync_a_file_still_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_fsync(_: int) -> None:
        raise AssertionError("nobody wanted this")

    monkeypatch.setattr(os, "fsync", no_fsync)
    with files.atomic_write(tmp_path / "a", fsync=False) as part:
        part.write_text("half")
        assert part.parent == tmp_path
        assert list(tmp_path.iterdir()) == [part]
        part.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
    with pytest.raises(ZeroDivisionError), files.atomic_write(tmp_path / "a", fsync=False) as part:
        part.write_text("o" * (1 // 0))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "whole")]


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with (
            pytest.raises(OSError, match="it is no regular file") as caught,
            files.atomic_write(tmp_path / name),
        ):
            pytest.fail("it must be refused before anything is written")
        assert caught.value.filename == str(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_limit_counts_what_is_read_and_not_what_is_said() -> None:
    limit = ReadLimit("the archive a.zip", max_files=2, max_bytes=10, hint="raise max_bytes")
    assert b"".join(limit.blocks(io.BytesIO(b"12345"), 2)) == b"12345"
    got: list[bytes] = []
    with pytest.raises(StepError, match=r"the archive a.zip holds more than 10 bytes") as caught:
        got.extend(limit.blocks(io.BytesIO(b"1234567"), 2))
    assert (caught.value.code, caught.value.hint) == ("AF722", "raise max_bytes")
    assert b"".join(got) == b"1234", "what is too much is not given out"
    with pytest.raises(StepError, match="more than 2 files"):
        limit.add_file()
    assert ReadLimit("all").blocks(io.BytesIO(b"")) is not None


def test_a_file_system_is_stored_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")

    files.sync_file_system(tmp_path)

    with pytest.raises(FileNotFoundError):
        files.sync_file_system(tmp_path / "nowhere")
