"""Archives that other programs make: what they do differently is understood, or named in the error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aetherflow_archive.os_connector import OsConnector

from aetherflow import Resource, StepError
from aetherflow.data_files import import_zstd
from tests.plugins.archives import Run

pytestmark = pytest.mark.asyncio
SKIPPABLE = struct.pack("<II", 0x184D2A5F, 3) + b"abc"


def program(*argv: str, cwd: Path) -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"needs the Debian package {argv[0]}")
    subprocess.run(argv, cwd=cwd, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one file."""
    run = Run(tmp_path)
    run.write({"x": "1"})
    return run


def tar_of(path: Path, *infos: tarfile.TarInfo, encoding: str = "utf-8") -> None:
    kind = tarfile.GNU_FORMAT if encoding != "utf-8" else tarfile.PAX_FORMAT
    with tarfile.open(path, "w", format=kind, encoding=encoding) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)))


def info(name: str, size: int = 0, **pax: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.pax_headers = size, pax
    return made


def windows_zip(path: Path, *names: str) -> None:
    """Write an archive as .NET did until 4.6: with backslashes, for DOS."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo("x")
            entry.filename = entry.orig_filename = name
            entry.create_system = 0
            archive.writestr(entry, b"" if name.endswith("\\") else b"1")


@pytest.mark.parametrize("option", ["-cf", "-czf"])
@pytest.mark.parametrize(
    ("arguments", "files"),
    [(["-T", "/dev/null"], {}), (["--format=v7", "x"], {"x": "1"}), (["-V", "label", "x"], {"x": "1"})],
)
async def test_tar_archives_without_a_usual_first_header(
    run: Run, arguments: list[str], files: dict[str, str], option: str
) -> None:
    name = f"a.tar{'.gz' * (option == '-czf')}"
    program("tar", option, name, *arguments, cwd=run.artifacts)
    assert (await run.unzip(src=name, dst="in"))["count"] == len(files)
    assert run.read("in") == files


async def test_a_zst_file_may_begin_with_a_frame_that_is_skipped(run: Run) -> None:
    data = SKIPPABLE + import_zstd().compress(b"1") + SKIPPABLE + import_zstd().compress(b"2")
    (run.artifacts / "a.csv.zst").write_bytes(data)
    await run.unzip(src="a.csv.zst", dst="in")
    assert run.read("in") == {"a.csv": "12"}


async def test_backslashes_of_windows_are_folders_and_lead_nowhere_else(run: Run) -> None:
    windows_zip(run.artifacts / "1.zip", "d\\", "d\\b.csv", "c.csv")
    await run.unzip(src="1.zip", dst="in")
    assert run.read("in") == {"d/b.csv": "1", "c.csv": "1"}
    for name in ("..\\b", "C:\\b", "\\b"):
        windows_zip(run.artifacts / "2.zip", name)
        with pytest.raises(StepError) as caught:
            await run.unzip(src="2.zip", dst="in")
        assert caught.value.code == "AF392"


async def test_what_zip_read_from_a_pipe_is_a_file(run: Run) -> None:
    with zipfile.ZipFile(run.artifacts / "1.zip", "w") as archive:
        entry = zipfile.ZipInfo("-")
        entry.external_attr = 0o010600 << 16  # as `zip` has it
        archive.writestr(entry, b"1")
    await run.unzip(src="1.zip", dst="in")
    assert run.read("in") == {"-": "1"}


async def test_folders_in_an_archive_are_nothing_to_the_installed_unzip(tmp_path: Path) -> None:
    connector = await OsConnector.open(Resource("archive_default", "archive", "os"))
    run = Run(tmp_path, connectors={"archive_default": connector})
    run.write({"d/e/f": "1"})
    program("zip", "-qr", "1.zip", "d", cwd=run.artifacts)
    assert (await run.unzip(src="1.zip", dst="in"))["unzipped"][0]["driver"] == "os"
    assert run.read("in") == {"d/e/f": "1"}


@pytest.mark.parametrize("mtime", ["inf", "nan", "1e300", "-5"])
async def test_a_time_that_no_file_has_is_left_out(run: Run, mtime: str) -> None:
    tar_of(run.artifacts / "a.tar", info("x", 1, mtime=mtime))
    assert (await run.unzip(src="a.tar", dst="in"))["count"] == 1


async def test_names_of_a_tar_archive_in_another_code_page(run: Run) -> None:
    tar_of(run.artifacts / "a.tar", info("bücher.csv"), info("b"), encoding="latin-1")
    with pytest.raises(StepError, match="is not UTF-8") as caught:
        await run.unzip(src="a.tar", dst="in")
    assert "name_encoding" in caught.value.hint
    assert (await run.unzip(src="a.tar", dst="one", members=["b"]))["count"] == 1
    await run.unzip(src="a.tar", dst="in", name_encoding="latin-1")
    assert run.read("in") == {"bücher.csv": "", "b": ""}


@pytest.mark.parametrize("name_encoding", ["cp0815", "base64", "undefined", "utf-16"])
async def test_a_code_page_must_be_one_of_names(run: Run, name_encoding: str) -> None:
    with pytest.raises(StepError, match="there is no code page"):
        await run.unzip(src="a.zip", dst="in", name_encoding=name_encoding)


def _damage_second_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[1024 + 5] ^= 255
    path.write_bytes(data)


def _add_another(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _cut_behind_zeros(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1024])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_damage_second_header, "it is damaged, or another archive was added"),
        (_add_another, "it is damaged, or another archive was added"),
        (_cut_behind_zeros, "its end mark is missing"),
    ],
)
async def test_no_member_of_a_tar_archive_is_lost_in_silence(
    run: Run, change: Callable[[Path], None], message: str
) -> None:
    tar_of(run.artifacts / "a.tar", info("a", 1), info("b", 1))
    change(run.artifacts / "a.tar")
    with pytest.raises(StepError, match=message):
        await run.unzip(src="a.tar", dst="in")
    assert run.read("in") == {}


OTHERS = {
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\x07\x01\x00",
    "bzip2": bz2.compress(b"1"),
    "xz": lzma.compress(b"1"),
    "compress": b"\x1f\x9d\x90a",
}


@pytest.mark.parametrize("name", OTHERS)
async def test_other_formats_are_named(run: Run, name: str) -> None:
    (run.artifacts / "a").write_bytes(OTHERS[name])
    with pytest.raises(StepError, match=f"it is a file of the format {name}") as caught:
        await run.unzip(src="a", dst="in")
    assert "external" in caught.value.hint


async def test_a_part_of_a_split_archive_is_named(run: Run) -> None:
    (run.artifacts / "x").write_bytes(gzip.compress(bytes(range(256)) * 1024, 0))
    program("zip", "-q", "-0", "-s", "100k", "1.zip", "x", cwd=run.artifacts)
    with pytest.raises(StepError, match="it is one of several parts"):
        await run.unzip(src="1.zip", dst="in")


async def test_a_name_that_is_too_long_says_so(run: Run) -> None:
    with zipfile.ZipFile(run.artifacts / "1.zip", "w") as archive:
        archive.writestr("ü" * 130, "1")
    with pytest.raises(StepError, match="File name too long") as caught:
        await run.unzip(src="1.zip", dst="in")
    assert "255 bytes" in caught.value.hint
