"""A compressed data file that ends too early, or has a wrong byte, is an error and never fewer rows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import import_zstd, opened
from aetherflow.errors import StepError

TEXT = b"".join(b"%d;text %d\n" % (number, number * 7919) for number in range(50_000))


def compressed(compression: Compression) -> bytes:
    zstd = import_zstd()
    if compression == "gz":
        return gzip.compress(TEXT[:100_000]) + gzip.compress(TEXT[100_000:])
    options = {zstd.CompressionParameter.checksum_flag: 1}
    return bytes(
        zstd.compress(TEXT[:100_000], options=options) + zstd.compress(TEXT[100_000:], options=options)
    )


def read(path: Path, compression: Compression) -> bytes:
    with opened(path, compression) as file:
        return b"".join(iter(lambda: file.read(70_000), b""))


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_parts_that_follow_each_other_are_read_as_one(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "a"
    path.write_bytes(compressed(compression))
    assert read(path, compression) == TEXT


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize("left", [0.999999, 0.9, 0.5, 0.1])
def test_a_file_that_ends_too_early_is_an_error(
    tmp_path: Path, compression: Compression, left: float
) -> None:
    path = tmp_path / "a"
    whole = compressed(compression)
    path.write_bytes(whole[: min(int(len(whole) * left), len(whole) - 1)])
    with pytest.raises(StepError, match=f"it is no whole {compression} file") as caught:
        read(path, compression)
    assert caught.value.code == "AF906"


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_wrong_byte_is_an_error(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "a"
    whole = bytearray(compressed(compression))
    whole[-20_000] ^= 0x55
    path.write_bytes(whole)
    with pytest.raises(StepError, match=f"it is no whole {compression} file"):
        read(path, compression)


@pytest.mark.parametrize("compression", [None, "gz", "zst"])
def test_an_error_of_what_is_done_with_the_content_is_not_the_files(
    tmp_path: Path, compression: Compression | None
) -> None:
    path = tmp_path / "a"
    path.write_bytes(compressed(compression) if compression else TEXT)
    for error in (BrokenPipeError("the database has gone"), EOFError("the server has gone")):
        with pytest.raises(type(error), match="has gone"), opened(path, compression) as file:
            raise error if file.read(100) == TEXT[:100] else AssertionError
    (tmp_path / "folder").mkdir()
    for name, why in (("folder", "Is a directory"), ("none", "No such file")):
        with pytest.raises(StepError, match=why), opened(tmp_path / name, compression):
            pytest.fail("it cannot be opened")
