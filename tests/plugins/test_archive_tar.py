"""Tar archives and compressed single files: what the steps make and take, and what they refuse."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from aetherflow_archive.formats import format_of_content, format_of_name

from aetherflow import StepError
from aetherflow.data_files import import_zstd
from tests.plugins.archives import KEY, Run, content_of

pytestmark = pytest.mark.asyncio

FILES = {"a.csv": "id\n1\n", "sub/é.csv": "x" * 100_000, "sub/deep/" + "n" * 150: "long name", "empty": ""}
TARS = ["tar", "tar.gz", "tar.zst"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a few files below `src`."""
    run = Run(tmp_path)
    run.write(FILES, "src")
    return run


def compressed(kind: str, data: bytes) -> bytes:
    if kind.endswith("gz"):
        return gzip.compress(data)
    return bytes(import_zstd().compress(data)) if kind.endswith("zst") else data


def tar_of(path: Path, *infos: tuple[tarfile.TarInfo, bytes], kind: str = "tar") -> Path:
    """Write a tar archive as a hostile author could."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for info, content in infos:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(compressed(kind, raw.getvalue()))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize("kind", TARS)
async def test_a_tar_archive_is_packed_and_unpacked_and_the_same_files_give_the_same_bytes(
    run: Run, kind: str
) -> None:
    outputs = await run.zip(dest_path=f"o.{kind}", items=["src"], src_dir="src")
    assert (outputs["count"], outputs["driver"]) == (4, "tarfile")
    first = content_of(outputs["output"])
    for path in (run.artifacts / "src").rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)  # another umask
    assert content_of((await run.zip(dest_path=f"o.{kind}", items=["src"], src_dir="src"))["output"]) == first
    unpacked = await run.unzip(src=f"o.{kind}", dst="in")
    assert run.read("in") == FILES
    assert unpacked["count"] == 4
    assert (run.artifacts / "in/a.csv").stat().st_mtime == int((run.artifacts / "src/a.csv").stat().st_mtime)
    assert run.left_over() == []
    if kind == "tar.zst" and not shutil.which("zstd"):
        pytest.skip("the program tar needs the Debian package zstd")
    listed = await anyio.run_process(["tar", "-tf", outputs["output"]])
    assert len(listed.stdout.splitlines()) == 4


@pytest.mark.parametrize("kind", TARS)
async def test_an_archive_of_the_program_tar_is_unpacked_whatever_it_is_called(run: Run, kind: str) -> None:
    raw = run.artifacts / "raw.tar"
    await anyio.run_process(["tar", "-cf", str(raw), "-C", str(run.artifacts / "src"), "."])
    (run.artifacts / "x.dat").write_bytes(compressed(kind, raw.read_bytes()))
    await run.unzip(archives="x.dat", dest_dir="in", members=["./a.csv", "*deep*"])
    assert set(run.read("in")) == {"a.csv", "sub/deep/" + "n" * 150}
    with pytest.raises(StepError, match=r"has no member 'b\.csv'"):
        await run.unzip(archives="x.dat", dest_dir="other", members=["b.csv"])
    assert not (run.artifacts / "other").exists()


@pytest.mark.parametrize("kind", ["gz", "zst"])
async def test_one_file_is_compressed_and_decompressed(run: Run, kind: str) -> None:
    outputs = await run.zip(src="src/a.csv", dst=f"a.csv.{kind}")
    assert (outputs["count"], outputs["driver"]) == (1, "tarfile")
    assert (await run.unzip(src=f"a.csv.{kind}", dst="in"))["files"] == [str(run.artifacts / "in" / "a.csv")]
    assert run.read("in") == {"a.csv": "id\n1\n"}
    (run.artifacts / "odd").write_bytes(content_of(outputs["output"]))
    assert (await run.unzip(src="odd", dst="in"))["files"] == [str(run.artifacts / "in" / "odd.data")]
    with pytest.raises(StepError, match="holds one file, and 4 match") as caught:
        await run.zip(dest_path=f"all.{kind}", items=["src"])
    assert caught.value.code == "AF985"
    assert (
        await run.zip(dest_path=f"a.csv.{kind}", items=["src/a.csv"], src_dir="src", overwrite=False)
    ) == outputs
    with pytest.raises(StepError, match="exists and holds something else"):
        await run.zip(dest_path=f"a.csv.{kind}", items=["src/empty"], overwrite=False)


@pytest.mark.parametrize("kind", TARS)
async def test_without_overwrite_the_same_tar_is_left(run: Run, kind: str) -> None:
    first = await run.zip(dest_path=f"o.{kind}", items=["src"], overwrite=False)
    assert await run.zip(dest_path=f"o.{kind}", items=["src"], overwrite=False) == first
    run.write({"src/a.csv": "new"})
    with pytest.raises(StepError, match="exists and holds something else"):
        await run.zip(dest_path=f"o.{kind}", items=["src"], overwrite=False)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("tar", 1025), ("tar", 6000), ("tar.gz", 1), ("tar.gz", 6000), ("tar.zst", 1), ("tar.zst", 6000)],
)
async def test_an_archive_that_ends_too_early_leaves_nothing(run: Run, kind: str, missing: int) -> None:
    path = tar_of(run.artifacts / "a.tar", (info("a"), b"a" * 700), (info("b"), os.urandom(9000)))
    whole = path.read_bytes()[: 512 + 1024 + 512 + 9216 + 1024]  # without the padding that tar adds
    data = compressed(kind, whole)
    path.write_bytes(data[:-missing])
    with pytest.raises(StepError, match="cannot read the archive") as caught:
        await run.unzip(archives="a.tar", dest_dir="in", format=kind)
    assert caught.value.code == "AF391"
    assert not (run.artifacts / "in").exists()
    assert run.left_over() == []


async def test_a_tar_that_is_cut_between_two_files_is_not_taken_for_a_whole_one(run: Run) -> None:
    path = tar_of(run.artifacts / "a.tar", (info("a"), b"a" * 512), (info("b"), b"b" * 512))
    path.write_bytes(path.read_bytes()[: 2 * 512])
    with pytest.raises(StepError, match="it ends too early"):
        await run.unzip(archives="a.tar", dest_dir="in")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (info("../evil"), "leads out of the folder"),
        (info("/etc/evil"), "has an absolute name"),
        (info("C:/evil"), "has a drive letter"),
        (info("l", tarfile.SYMTYPE, "/etc"), "is a symbolic link"),
        (info("h", tarfile.LNKTYPE, "a"), "is a hard link"),
        (info("d", tarfile.CHRTYPE), "is a device"),
        (info("p", tarfile.FIFOTYPE), "is a pipe"),
        (info("A"), "would be one file"),
        (info("a"), "would be one file"),
        (info("a/b"), "cannot read or write"),
    ],
)
async def test_an_unsafe_member_leaves_nothing(run: Run, bad: tarfile.TarInfo, why: str) -> None:
    tar_of(run.artifacts / "a.tar", (info("a"), b"a"), (bad, b""))
    with pytest.raises(StepError, match=why):
        await run.unzip(archives="a.tar", dest_dir="in")
    assert not (run.artifacts / "in").exists()
    assert run.left_over() == []


@pytest.mark.parametrize("kind", ["tar.gz", "gz", "tar.zst", "zst"])
async def test_a_bomb_is_stopped_by_what_is_really_read(run: Run, kind: str) -> None:
    bomb = b"\0" * 40_000_000
    if kind.startswith("tar"):
        tar_of(run.artifacts / "b", (info("a"), bomb), kind=kind)
    else:
        (run.artifacts / "b").write_bytes(compressed(kind, bomb))
    for more, code in (
        ({}, "AF394"),
        ({"max_ratio": 1e6, "max_size": "1MB"}, "AF722"),
        ({"members": ["none"]}, "AF394" if kind.startswith("tar") else "AF398"),
    ):
        with pytest.raises(StepError) as caught:
            await run.unzip(archives="b", dest_dir="in", **more)
        assert caught.value.code == code
    assert (await run.unzip(archives="b", dest_dir="in", max_ratio=1e6))["count"] == 1


async def test_a_compressed_file_whose_bytes_have_the_sum_of_a_tar_header_is_no_tar(run: Run) -> None:
    """The sum of an old header is short: one gzip file in some hundred has it, by the time in its head."""
    zeros = bytearray(gzip.compress(b"\0" * 40_000_000, mtime=0))
    for time in range(1 << 16):
        zeros[4:8] = time.to_bytes(4, "big")
        with suppress(tarfile.HeaderError):
            tarfile.TarInfo.frombuf(bytes(zeros[:512]), "utf-8", "surrogateescape")
            break
    else:
        pytest.fail("no time gives that sum")
    (run.artifacts / "b").write_bytes(zeros)
    assert (await run.unzip(archives="b", dest_dir="in", max_ratio=1e6))["count"] == 1


async def test_a_header_of_megabytes_is_not_read_into_memory(run: Run) -> None:
    tar_of(run.artifacts / "a.tar", (info("x", tarfile.XHDTYPE), b"9" * 3_000_000), (info("a"), b"a"))
    with pytest.raises(StepError, match="a header of 3,000,000 bytes"):
        await run.unzip(archives="a.tar", dest_dir="in")


async def test_more_files_than_allowed_are_an_error(run: Run) -> None:
    tar_of(run.artifacts / "a.tar", *((info(f"{number}"), b"") for number in range(11)))
    with pytest.raises(StepError, match="more than 10 files"):
        await run.unzip(archives="a.tar", dest_dir="in", max_files=10)


async def test_a_password_is_refused_as_nothing_would_be_encrypted(run: Run) -> None:
    with pytest.raises(StepError, match=r"the format tar\.gz has no encryption") as caught:
        await run.zip(dest_path="o.tgz", items=["src"], password=KEY)
    assert caught.value.code == "AF393"
    assert not (run.artifacts / "o.tgz").exists()


async def test_archives_of_several_formats_are_unpacked_together(run: Run) -> None:
    run.write({"z.csv": "z", "t.csv": "t"})
    await run.zip(src="z.csv", dst="1.zip")
    await run.zip(src="t.csv", dst="2.tgz")
    outputs = await run.unzip(archives=["1.zip", "2.tgz"], dest_dir="in")
    assert run.read("in") == {"z.csv": "z", "t.csv": "t"}
    assert [one["driver"] for one in outputs["unzipped"]] == ["zipfile", "tarfile"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.zip", "zip"),
        ("a.jar", "zip"),
        ("a", "zip"),
        ("A.TAR.GZ", "tar.gz"),
        ("a.tgz", "tar.gz"),
        ("a.tar", "tar"),
        ("a.tzst", "tar.zst"),
        ("a.csv.zst", "zst"),
        ("a.csv.gz", "gz"),
    ],
)
async def test_the_name_of_a_new_archive_says_its_format(name: str, kind: str) -> None:
    assert format_of_name(Path(name)) == kind


async def test_a_damaged_begin_is_reported_as_damaged(run: Run) -> None:
    for data in (b"\x1f\x8b", b"\x1f\x8b\x08\x00garbage", b"\x28\xb5\x2f\xfdgarbage"):
        path = run.artifacts / "d"
        path.write_bytes(data)
        assert format_of_content(path) in ("gz", "zst")
        with pytest.raises(StepError, match="cannot read the archive"):
            await run.unzip(archives="d", dest_dir="in")
