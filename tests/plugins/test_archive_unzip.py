"""The step `unzip`: where files get to, what it refuses, and that nothing half is left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
import pyzipper
from aetherflow_archive.unzip_step import unzip
from aetherflow_archive.zip_connectors import ZipfileConnector

from aetherflow import Resource, StepContext, StepError
from aetherflow.sdk.files import checksum
from aetherflow.testing import run_step
from tests.plugins.archives import KEY, OLD_ENCRYPTION, WRONG, Run, archive_of, content_of, files_below
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

BYTES = 5 * 2**30 if LARGE else 32 * 2**20


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with nothing in it."""
    return Run(tmp_path)


async def test_each_archive_gets_to_where_it_is_below_src_dir(run: Run, tmp_path: Path) -> None:
    run.write({"x/1.zip": "", "2.zip": ""})
    for name in ("x/1.zip", "2.zip"):
        archive_of(run.artifacts / name, {f"{name[-5]}.csv": b"c", "d/": b""})
    outside = archive_of(tmp_path / "3.zip", {"3.csv": b"c"})
    outputs = await run.unzip(archives=["x/1.zip", "2.zip", str(outside)], dest_dir="in")
    private = await run.unzip(
        archives=["x/1.zip", {"path": "2.zip", "size": 3}], dest_dir="p", private_zip_folder=True
    )

    assert run.read("in") == {"x/1.csv": "c", "2.csv": "c", "3.zip/3.csv": "c"}
    assert (run.artifacts / "in" / "d").is_dir()
    assert run.read("p") == {"x/1/1.csv": "c", "2/2.csv": "c"}
    assert outputs["dest_dir"] == str(run.artifacts / "in")
    assert outputs["unzipped"][0] == {
        "archive": str(run.artifacts / "x" / "1.zip"),
        "dest_dir": str(run.artifacts / "in" / "x"),
        "files": [str(run.artifacts / "in" / "x" / "1.csv")],
        "skipped": [],
        "count": 1,
        "size": 1,
        "password": False,
        "driver": "zipfile",
    }
    assert (outputs["count"], private["count"]) == (3, 2)
    assert run.left_over() == []


async def test_src_dir_and_the_short_form(run: Run) -> None:
    run.write({"down/x/1.zip": ""})
    archive_of(run.artifacts / "down/x/1.zip", {"1.csv": b"c"})
    await run.unzip(archives="down/x/1.zip", src_dir="down", dest_dir="in")
    await run.unzip(src="down/x/1.zip", dst="short")

    assert run.read("in") == {"x/1.csv": "c"}
    assert run.read("short") == {"1.csv": "c"}


async def test_null_is_the_default_of_an_input(run: Run) -> None:
    run.write({"d/a.csv": "a"})
    nothing = ("src_dir", "overwrite", "password", "missing_ok", "resource", "connector")
    packing = dict.fromkeys((*nothing, "recursive", "compression"))
    unpacking = dict.fromkeys((*nothing, "private_zip_folder", "members", "name_encoding"))
    await run.zip(dest_path="1.zip", items=["d"], **packing)
    await run.unzip(archives="1.zip", dest_dir="in", **unpacking)

    assert run.read("in") == {"d/a.csv": "a"}


@pytest.mark.parametrize("archives", [None, []])
async def test_no_archives_are_a_success(run: Run, archives: Any) -> None:
    outputs = await run.unzip(archives=archives, dest_dir="in")

    assert (outputs["unzipped"], outputs["count"]) == ([], 0)


async def test_an_archive_that_does_not_exist_is_a_warning_or_an_error(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"1.csv": b"c"})
    outputs = await run.unzip(archives=["gone.zip", "1.zip", "."], dest_dir="in")
    with pytest.raises(StepError, match=r"there is no archive .*gone.zip"):
        await run.unzip(archives=["gone.zip"], dest_dir="in", missing_ok=False)

    assert len(outputs["unzipped"]) == 1
    assert [line.rpartition("/")[2] for line in run.logged] == [
        "gone.zip; it is passed over",
        "artifacts is no file; it is passed over",
    ]


async def test_members_are_names_or_patterns(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"a.csv": b"a", "d/b.csv": b"b", "c[1].txt": b"c", "d.txt": b"d"})
    await run.unzip(archives="1.zip", dest_dir="in", members=["a.csv", "d/*", "c[1].txt"])
    with pytest.raises(StepError, match=r"has no member 'x.csv'") as caught:
        await run.unzip(archives="1.zip", dest_dir="no", members=["x.csv"])

    assert run.read("in") == {"a.csv": "a", "d/b.csv": "b", "c[1].txt": "c"}
    assert "it has 'a.csv', 'c[1].txt'" in caught.value.hint
    assert not (run.artifacts / "no").exists()


async def test_files_that_exist_are_replaced_or_stay(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"a.csv": b"new", "b.csv": b"new"})
    run.write({"in/a.csv": "old", "in2/a.csv": "old"})
    outputs = await run.unzip(archives="1.zip", dest_dir="in", overwrite=False)
    await run.unzip(archives="1.zip", dest_dir="in2")

    assert run.read("in") == {"a.csv": "old", "b.csv": "new"}
    assert outputs["unzipped"][0]["skipped"] == [str(run.artifacts / "in" / "a.csv")]
    assert outputs["count"] == 2
    assert run.read("in2") == {"a.csv": "new", "b.csv": "new"}


async def test_a_file_that_two_archives_hold_is_reported(run: Run) -> None:
    for name in ("1.zip", "2.zip"):
        archive_of(run.artifacts / name, {"a.csv": name.encode()})
    outputs = await run.unzip(archives=["1.zip", "2.zip"], dest_dir="in")

    assert run.read("in") == {"a.csv": "2.zip"}
    assert outputs["files"] == [str(run.artifacts / "in" / "a.csv")]
    assert run.logged[0].startswith("1.zip and 2.zip hold the same file ")


async def test_times_come_back_and_the_files_of_the_workspace_are_private(run: Run) -> None:
    run.write({"a.csv": "a"})
    os.utime(run.artifacts / "a.csv", (1_600_000_001, 1_600_000_001))
    await run.zip(dest_path="1.zip", items=["a.csv"])
    await run.unzip(archives="1.zip", dest_dir="in")

    status = (run.artifacts / "in" / "a.csv").stat()
    assert status.st_mtime == 1_600_000_001
    assert stat.S_IMODE(status.st_mode) == 0o600


UNSAFE = {
    "../evil.txt": "leads out of the folder",
    "d/../../evil.txt": "leads out of the folder",
    "/etc/evil.txt": "has an absolute name",
    "C:evil.txt": "has a drive letter",
    "c:/evil.txt": "has a drive letter",
    "d\\evil.txt": "has a backslash",
    "..\\evil.txt": "has a backslash",
    "a\nb": "has a control character",
    "d/" * 2000 + "f": "is nested more than 100 deep",
}


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: name[:20])
async def test_an_unsafe_name_unpacks_nothing(run: Run, tmp_path: Path, name: str) -> None:
    archive_of(run.artifacts / "1.zip", {"good.txt": b"g", name: b"e"})
    with pytest.raises(StepError, match=UNSAFE[name]) as caught:
        await run.unzip(archives="1.zip", dest_dir="deep/in")

    assert caught.value.code == "AF392"
    assert not (run.artifacts / "deep").exists()
    assert "evil.txt" not in files_below(tmp_path)
    assert run.left_over() == []
    assert (await run.unzip(archives="1.zip", dest_dir="in", members=["good.txt"]))["count"] == 1


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (stat.S_IFLNK, "is a symbolic link"),
        (stat.S_IFCHR, "is a device"),
        (stat.S_IFBLK, "is a device"),
        (stat.S_IFSOCK, "is a socket"),
    ],
)
async def test_a_member_that_is_no_file_unpacks_nothing(run: Run, kind: int, problem: str) -> None:
    archive_of(run.artifacts / "1.zip", {"a": b"/etc/passwd"}, mode=kind | 0o777)
    with pytest.raises(StepError, match=problem):
        await run.unzip(archives="1.zip", dest_dir="in")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names",
    [("A.txt", "a.txt"), ("a", "a/b"), ("ä", "a\u0308"), ("Straße", "STRASSE"), ("a", "./a"), ("D/x", "d")],
)
async def test_names_that_are_one_file_somewhere_unpack_nothing(run: Run, names: tuple[str, str]) -> None:
    archive_of(run.artifacts / "1.zip", dict.fromkeys(names, b"x"))
    with pytest.raises(StepError, match="would be one file"):
        await run.unzip(archives="1.zip", dest_dir="in")


async def test_harmless_names_are_normal(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"./": b"", "./a": b"1", "d//b": b"2", "..c": b"3", "e:f": b"4"[:1]})
    with pytest.raises(StepError):
        await run.unzip(archives="1.zip", dest_dir="no")
    await run.unzip(archives="1.zip", dest_dir="in", members=["./", "./a", "d//b", "..c"])

    assert run.read("in") == {"a": "1", "d/b": "2", "..c": "3"}


async def test_a_link_in_the_destination_is_not_followed_out_of_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_text("precious")
    (run.artifacts / "in").mkdir()
    (run.artifacts / "in" / "d").symlink_to(tmp_path / "elsewhere")
    (run.artifacts / "in" / "f").symlink_to(tmp_path / "elsewhere" / "f")
    for name in ("d/x", "f", "d/"):
        archive_of(run.artifacts / "1.zip", {name: b"" if name == "d/" else b"evil"})
        with pytest.raises(StepError, match=r"a link in .* leads out of it"):
            await run.unzip(archives="1.zip", dest_dir="in")

    assert {path.name: path.read_text() for path in (tmp_path / "elsewhere").iterdir()} == {"f": "precious"}


@pytest.mark.parametrize(
    ("limit", "code", "message"),
    [
        ({"max_files": 2}, "AF722", "more than 2 files"),
        ({"max_size": "25kB"}, "AF722", "more than 25,000 bytes"),
        ({"max_size": 29_999}, "AF722", "more than 29,999 bytes"),
    ],
)
async def test_limits_count_what_is_really_read(run: Run, limit: Any, code: str, message: str) -> None:
    archive_of(run.artifacts / "1.zip", {f"{n}.txt": b"x" * 10_000 for n in range(3)})
    with pytest.raises(StepError, match=message) as caught:
        await run.unzip(archives="1.zip", dest_dir="in", **limit)
    assert caught.value.code == code
    assert not (run.artifacts / "in").exists()
    assert (await run.unzip(archives="1.zip", dest_dir="in", max_files=3, max_size="30kB"))["count"] == 3


async def test_folders_count_as_files(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {f"{n}/": b"" for n in range(4)})
    with pytest.raises(StepError, match="more than 3 files"):
        await run.unzip(archives="1.zip", dest_dir="in", max_files=3)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_a_bomb_is_defused_early(run: Run, method: int) -> None:
    archive_of(run.artifacts / "1.zip", {"0": bytes(2**24)}, method=method)
    with pytest.raises(StepError, match="more than 200 times as much") as caught:
        await run.unzip(archives="1.zip", dest_dir="in")
    assert caught.value.code == "AF394"
    assert run.left_over() == []
    await run.unzip(archives="1.zip", dest_dir="in", max_ratio=1e6)
    assert (run.artifacts / "in" / "0").stat().st_size == 2**24


async def test_a_size_that_lies_is_damage(run: Run) -> None:
    path = archive_of(run.artifacts / "1.zip", {"0": b"x" * 1000})
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02") + 24
    path.write_bytes(data[:at] + (10).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(StepError, match="'0' is damaged or cut off") as caught:
        await run.unzip(archives="1.zip", dest_dir="in")
    assert caught.value.code == "AF391"


async def test_a_table_of_contents_of_gigabytes_is_not_read(run: Run) -> None:
    path = archive_of(run.artifacts / "1.zip", {f"{'x' * 200}{n:05}": b"" for n in range(9000)})
    assert len(path.read_bytes()) > 2 * 2**20
    with pytest.raises(StepError, match="the table of contents of the archive"):
        await run.unzip(archives="1.zip", dest_dir="in", max_files=100)


async def test_an_archive_cut_anywhere_is_an_error_and_leaves_nothing(run: Run) -> None:
    path = archive_of(run.artifacts / "1.zip", {"a.csv": b"a" * 300, "b.csv": b"b" * 300})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StepError, match="cannot read the archive") as caught:
            await run.unzip(archives="1.zip", dest_dir="in")
        assert caught.value.code == "AF391"
        assert not (run.artifacts / "in").exists()
    assert run.left_over() == []


async def test_a_flipped_bit_is_an_error_or_harmless(run: Run) -> None:
    content = {"a.csv": bytes(range(256)) * 4, "b.csv": b"b" * 300}
    path = archive_of(run.artifacts / "1.zip", content, method=zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    codes = set()
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            outputs = await run.unzip(archives="1.zip", dest_dir=f"in{at}")
        except StepError as error:
            codes.add(error.code)
        else:
            assert all(content_of(file) in content.values() for file in outputs["files"]), at
    assert codes <= {"AF391", "AF392", "AF393", "AF394", "AF722"}


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "it is empty"), (b"<html>", "it is no archive of a known format")]
)
async def test_what_is_no_archive(run: Run, data: bytes, message: str) -> None:
    (run.artifacts / "1.zip").write_bytes(data)
    with pytest.raises(StepError, match=message):
        await run.unzip(archives="1.zip", dest_dir="in")


async def test_if_one_of_several_archives_is_damaged_nothing_is_unpacked(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"1.csv": b"c"})
    run.write({"2.zip": "PK", "in/1.csv": "old"})
    with pytest.raises(StepError, match=r"2.zip"):
        await run.unzip(archives=["1.zip", "2.zip"], dest_dir="in")
    assert run.read("in") == {"1.csv": "old"}


async def test_passwords(run: Run) -> None:
    run.write({"a.csv": "a" * 1000, "empty": ""})
    await run.zip(dest_path="1.zip", items=["a.csv", "empty"], password=KEY)
    await run.unzip(archives="1.zip", dest_dir="in", password=KEY)
    assert run.read("in") == {"a.csv": "a" * 1000, "empty": ""}

    for wrong, message in (
        (None, "no password is given"),
        ("x", "the password is wrong"),
        ("", "no password"),
    ):
        with pytest.raises(StepError, match=message) as caught:
            await run.unzip(archives="1.zip", dest_dir="no", password=wrong)
        assert caught.value.code == "AF393"
    assert not (run.artifacts / "no").exists()


async def test_an_encrypted_archive_that_was_changed_is_not_accepted(run: Run) -> None:
    run.write({"a.csv": os.urandom(1000)})
    await run.zip(dest_path="1.zip", items=["a.csv"], password=KEY)
    data = content_of(run.artifacts / "1.zip")
    at = data.index(b"PK\x01\x02") - 200
    run.write({"1.zip": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]})
    with pytest.raises(StepError, match="the password is wrong, or the archive is damaged"):
        await run.unzip(archives="1.zip", dest_dir="in", password=KEY)


async def test_the_old_encryption_is_read_by_both_drivers_and_aes_by_one(run: Run, tmp_path: Path) -> None:
    plain = await ZipfileConnector.open(Resource("z", "archive", "zipfile"))
    run = Run(tmp_path, connectors={"z": plain})
    (run.artifacts / "c.zip").write_bytes(OLD_ENCRYPTION)
    assert (await run.unzip(archives="c.zip", dest_dir="c1", password=KEY))["unzipped"][0][
        "driver"
    ] == "pyzipper"
    await run.unzip(archives="c.zip", dest_dir="c2", password=KEY, resource="z")
    assert run.read("c1") == run.read("c2") == {"h": "hello"}
    with pytest.raises(StepError, match="the password is wrong"):
        await run.unzip(archives="c.zip", dest_dir="c3", password=WRONG, resource="z")
    with pyzipper.AESZipFile(run.artifacts / "1.zip", "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(KEY.encode())
        archive.writestr("a.csv", b"a")
    with pytest.raises(StepError, match="encrypted with AES, which archive:zipfile cannot read"):
        await run.unzip(archives="1.zip", dest_dir="in", password=KEY, resource="z")


@pytest.mark.parametrize(
    ("raw", "encoding", "name"),
    [
        ("Übersicht.csv".encode("cp850"), "cp850", "Übersicht.csv"),
        ("Übersicht.csv".encode("cp437"), "", "Übersicht.csv"),
        ("Übersicht.csv".encode(), "", "Übersicht.csv"),
        ("отчёт.csv".encode("cp866"), "cp866", "отчёт.csv"),
    ],
)
async def test_names_in_old_code_pages(run: Run, raw: bytes, encoding: str, name: str) -> None:
    stand_in = "x" * len(raw)
    path = archive_of(run.artifacts / "1.zip", {stand_in: b"c"})
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), raw))
    await run.unzip(archives="1.zip", dest_dir="in", name_encoding=encoding)

    assert run.read("in") == {name: "c"}


async def test_a_name_that_is_not_in_the_code_page(run: Run) -> None:
    path = archive_of(run.artifacts / "1.zip", {"xx": b"c"})
    path.write_bytes(path.read_bytes().replace(b"xx", b"\xe9x"))
    with pytest.raises(StepError, match="is not ascii"):
        await run.unzip(archives="1.zip", dest_dir="in", name_encoding="ascii")
    with pytest.raises(StepError, match="there is no code page 'cp0815'"):
        await run.unzip(archives="1.zip", dest_dir="in", name_encoding="cp0815")


async def test_the_disk_is_full(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_of(run.artifacts / "1.zip", {"a": b"a"})
    run.write({"in/b": "b"})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(run.artifacts / "in" / "a"))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StepError, match="No space left on device") as caught:
        await run.unzip(archives="1.zip", dest_dir="in")
    assert caught.value.code == "AF397"
    assert run.read("in") == {"b": "b"}
    assert run.left_over() == []


async def test_a_folder_where_a_file_must_be(run: Run) -> None:
    archive_of(run.artifacts / "1.zip", {"a": b"a"})
    run.write({"in/a/x": "x"})
    with pytest.raises(StepError, match="Is a directory"):
        await run.unzip(archives="1.zip", dest_dir="in")


@pytest.mark.parametrize("password", [None, KEY])
async def test_memory_does_not_grow_with_the_files(run: Run, password: str | None) -> None:
    write_large(run.artifacts / "large")
    tracemalloc.start()
    try:
        await run.zip(dest_path="1.zip", items=["large"], password=password, compression="stored")
        await run.unzip(archives="1.zip", dest_dir="in", password=password)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (run.artifacts / "in" / "large").stat().st_size == BYTES
    assert checksum(run.artifacts / "in" / "large") == checksum(run.artifacts / "large")
    assert peak < 12 * 2**20


def write_large(path: Path) -> None:
    """Write a file larger than any block; in the large run, too large for an archive that is not ZIP64."""
    block = os.urandom(2**20)
    with path.open("wb") as file:
        for _ in range(BYTES // len(block)):
            file.write(block)


async def test_a_step_that_is_stopped_ends_between_two_blocks_and_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_of(run.artifacts / "1.zip", {"a": bytes(3 * 2**20)})
    scope = anyio.CancelScope()
    report = StepContext.progress

    def cancel_at_the_first_block(context: StepContext, *args: Any) -> None:
        report(context, *args)
        anyio.from_thread.run_sync(scope.cancel)
        while not context.stopping:
            time.sleep(0.001)

    monkeypatch.setattr(StepContext, "progress", cancel_at_the_first_block)
    with scope:
        await run.unzip(archives="1.zip", dest_dir="in")

    assert scope.cancelled_caught
    assert not (run.artifacts / "in").exists()
    assert run.left_over() == []


SLOW = """
import sys, time, anyio, pathlib
from aetherflow_archive.unpack_count import UnpackCount
from aetherflow.testing import FakeRun, run_step
from aetherflow_archive.unzip_step import unzip
blocks = UnpackCount.blocks
def slow(*args):
    for block in blocks(*args):
        yield block[:10]
        print("writing", flush=True)
        time.sleep(60)
UnpackCount.blocks = slow
anyio.run(run_step, unzip, {"archives": "1.zip", "dest_dir": "in"}, FakeRun(pathlib.Path(sys.argv[1])))
"""


def kill_while_writing(folder: Path) -> None:
    """Unpack in a process that is killed when it has written a part of a file."""
    with subprocess.Popen([sys.executable, "-c", SLOW, str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        child.send_signal(signal.SIGKILL)


async def test_a_killed_process_leaves_nothing_under_a_final_name_and_the_next_attempt_cleans_up(
    run: Run, tmp_path: Path
) -> None:
    archive_of(run.artifacts / "1.zip", {"a": b"a" * 1000})
    kill_while_writing(tmp_path)
    assert not (run.artifacts / "in").exists()
    assert run.left_over() != []
    (run.artifacts / "in").mkdir()  # as if it had been killed when the first file was in its place

    await run_step(unzip, {"archives": "1.zip", "dest_dir": "in"}, run)
    assert run.read("in") == {"a": "a" * 1000}
    assert run.left_over() == []
