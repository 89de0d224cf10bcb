"""The step `zip`: which files it packs, under which names, and what it leaves behind."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
import pyzipper
from aetherflow_archive.zip_connectors import PyzipperConnector, ZipfileConnector
from hypothesis import given
from hypothesis import strategies as st

from aetherflow import Connector, Resource, StepError
from aetherflow.events.run_events import StepProgress
from tests.plugins.archives import KEY, Run, content_of, names_in
from tests.sizes import examples

pytestmark = pytest.mark.asyncio

FILES = {"a.csv": "a", "b.txt": "b", "sub/c.csv": "c", "sub/deep/d.csv": "d", "ü/é.csv": "e"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with some files."""
    made = Run(tmp_path)
    made.write(FILES)
    return made


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"items": ["b.txt", "a.csv", "./a.csv", "*.csv"]}, ["a.csv", "b.txt"]),
        ({"items": ["sub"]}, ["sub/c.csv", "sub/deep/d.csv"]),
        ({"items": ["sub"], "recursive": False}, ["sub/c.csv"]),
        ({"items": [{"path": "a.csv"}, {"glob": "sub/*.csv"}]}, ["a.csv", "sub/c.csv"]),
        ({"items": ["**/*.csv"]}, ["a.csv", "sub/c.csv", "sub/deep/d.csv", "ü/é.csv"]),
        ({"items": ["sub/*.csv"], "src_dir": "sub"}, ["c.csv"]),
        ({"items": ["*.csv"], "src_dir": "sub"}, ["c.csv"]),
        ({"items": ["."], "src_dir": "sub"}, ["c.csv", "deep/d.csv"]),
        ({"items": [{"path": "sub/c.csv", "name": "c.csv", "size": 1}]}, ["sub/c.csv"]),
        ({"src": "sub"}, ["c.csv", "deep/d.csv"]),
        ({"src": "sub/c.csv"}, ["c.csv"]),
        ({"src": "sub/*.csv"}, ["c.csv"]),
        ({"items": ["."]}, ["a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv", "ü/é.csv"]),
    ],
)
async def test_items_become_sorted_names_below_src_dir(
    run: Run, inputs: dict[str, Any], names: list[str]
) -> None:
    target = {"dst": "out.zip"} if "src" in inputs else {"dest_path": "out.zip"}
    outputs = await run.zip(**target, **inputs)

    assert names_in(outputs["output"]) == names
    assert (outputs["count"], outputs["password"], outputs["driver"]) == (len(names), False, "zipfile")
    assert outputs["size"] == (run.artifacts / "out.zip").stat().st_size
    assert outputs["src_dir"] == str(
        run.artifacts / ("sub" if "src" in inputs or "src_dir" in inputs else "")
    )
    assert run.left_over() == []


async def test_an_absolute_item_and_a_name_with_wildcards_in_it(run: Run) -> None:
    run.write({"r[1].csv": "x", "r1.csv": "y"})
    outputs = await run.zip(dest_path="out.zip", items=["r[1].csv", str(run.artifacts / "sub" / "*.csv")])

    assert names_in(outputs["output"]) == ["r[1].csv", "sub/c.csv"]


@pytest.mark.parametrize("items", [[], None, ["nothing*"], ["gone.csv"]])
async def test_nothing_to_pack_is_skipped_and_writes_nothing(run: Run, items: Any) -> None:
    outputs = await run.zip(dest_path="out.zip", items=items)

    assert outputs["count"] == 0
    assert outputs["output"] == str(run.artifacts / "out.zip")
    assert outputs["skipped"] == f"no file matches the items below {run.artifacts}"
    assert not (run.artifacts / "out.zip").exists()


async def test_an_item_that_matches_nothing_is_a_warning_or_an_error(run: Run) -> None:
    outputs = await run.zip(dest_path="out.zip", items=["a.csv", "gone.csv"])
    with pytest.raises(StepError, match=r"no file matches 'gone.csv'"):
        await run.zip(dest_path="out.zip", items=["a.csv", "gone.csv"], missing_ok=False)

    assert outputs["count"] == 1
    assert run.logged == ["no file matches 'gone.csv'"]


async def test_the_same_files_give_the_same_bytes_in_every_zone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(run.artifacts / "a.csv", (1_700_000_001, 1_700_000_001))
    first = content_of((await run.zip(dest_path="1.zip", items=["a.csv", "sub"]))["output"])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    (run.artifacts / "a.csv").chmod(0o640)
    second = content_of((await run.zip(dest_path="2.zip", items=["sub", "a.csv"]))["output"])

    assert first == second


async def test_an_archive_in_its_own_folder_never_holds_itself_nor_what_a_killed_process_left(
    run: Run,
) -> None:
    run.write({".out.zip.0123abcd.part": "half", ".aetherflow.0123abcd.part/out.zip": "half"})
    for _ in range(2):
        outputs = await run.zip(dest_path="out.zip", items=["."])

    assert names_in(outputs["output"]) == sorted(FILES)


@pytest.mark.parametrize("item", ["../x.csv", "/etc/hostname", "link.csv", "linked", "linked/*.csv", "*"])
async def test_nothing_from_outside_src_dir_is_packed(run: Run, tmp_path: Path, item: str) -> None:
    (tmp_path / "x.csv").write_text("secret")
    (run.artifacts / "link.csv").symlink_to(tmp_path / "x.csv")
    (run.artifacts / "linked").symlink_to(tmp_path)

    with pytest.raises(StepError, match=r"is outside src_dir|leaves the job's artifacts") as caught:
        await run.zip(dest_path="out.zip", items=[item])

    assert caught.value.code in {"AF395", "AF720"}
    assert not (run.artifacts / "out.zip").exists()


async def test_a_link_that_stays_inside_is_packed_as_its_content(run: Run) -> None:
    (run.artifacts / "link.csv").symlink_to("a.csv")
    (run.artifacts / "sub" / "loop").symlink_to("..")
    outputs = await run.zip(dest_path="out.zip", items=["link.csv", "sub"])

    assert names_in(outputs["output"]) == ["link.csv", "sub/c.csv", "sub/deep/d.csv"]


async def test_what_is_no_file_or_has_no_utf8_name_is_refused(run: Run) -> None:
    os.mkfifo(run.artifacts / "pipe")
    with pytest.raises(StepError, match="pipe is no regular file"):
        await run.zip(dest_path="out.zip", items=["pipe"])
    run.write({os.fsdecode(b"\xff.csv"): "x"})
    with pytest.raises(StepError, match="is not UTF-8"):
        await run.zip(dest_path="out.zip", items=["*.csv"])


async def test_names_that_cannot_be_unpacked_everywhere_are_reported(run: Run) -> None:
    run.write({"a\\b": "1", "c:d": "2", "A.CSV": "3"})
    outputs = await run.zip(dest_path="out.zip", items=["a*", "A*", "c:d"])

    assert names_in(outputs["output"]) == ["A.CSV", "a.csv", "a\\b", "c:d"]
    assert [line.removeprefix("the archive cannot be unpacked everywhere: ") for line in run.logged] == [
        "'A.CSV' and 'a.csv' are one file where upper and lower case are the same",
        "'a\\\\b' has a backslash in its name, which Windows takes for a folder",
        "'c:d' has a drive letter in its name",
    ]


NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\:"), min_size=1, max_size=20
)
PATHS = st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map("/".join)


@examples(12, 300, deadline=None)
@given(st.dictionaries(PATHS, st.binary(max_size=200), max_size=6), st.sampled_from([None, KEY]))
async def test_what_is_packed_comes_back(files: dict[str, bytes], password: str | None) -> None:
    chosen = {name: content for name, content in files.items() if is_apart(name, files)}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        run.write(chosen, "in")
        packed = await run.zip(src="in", dst="1.zip", password=password)
        assert packed["count"] == len(chosen)
        if chosen:
            await run.unzip(src="1.zip", dst="out", password=password)
            out = run.artifacts / "out"
            assert {name: (out / name).read_bytes() for name in chosen} == chosen


def is_apart(name: str, names: Iterable[str]) -> bool:
    """Whether a path is no other path, nor below or above one, where upper and lower case are the same."""
    key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    keys = [
        unicodedata.normalize("NFC", unicodedata.normalize("NFC", one).casefold())
        for one in names
        if one != name
    ]
    return not any(f"{one}/".startswith(f"{key}/") or f"{key}/".startswith(f"{one}/") for one in keys)


async def test_a_password_encrypts_with_aes(run: Run) -> None:
    outputs = await run.zip(dest_path="out.zip", items=["a.csv"], password=KEY)

    assert (outputs["password"], outputs["driver"]) == (True, "pyzipper")
    with pyzipper.AESZipFile(outputs["output"]) as archive:
        assert archive.infolist()[0].wz_aes_strength == 3
        archive.setpassword(KEY.encode())
        assert archive.read("a.csv") == b"a"


@pytest.mark.parametrize(("bits", "strength"), [("128", 1), (192, 2)])
async def test_the_strength_of_the_key_is_an_option(
    run: Run, tmp_path: Path, bits: Any, strength: int
) -> None:
    resource = Resource("z", "archive", "pyzipper", {"aes_strength": bits})
    run = Run(tmp_path, connectors={"z": await opened(resource)})
    run.write(FILES)
    outputs = await run.zip(dest_path="o.zip", items=["a.csv"], password=KEY, resource="z")

    with pyzipper.AESZipFile(outputs["output"]) as archive:
        assert archive.infolist()[0].wz_aes_strength == strength


async def opened(resource: Resource) -> Connector:
    """Open an archive connector."""
    if resource.driver == "pyzipper":
        return await PyzipperConnector.open(resource)
    return await ZipfileConnector.open(resource)


async def test_archive_default_is_used_and_the_alias_connector(tmp_path: Path) -> None:
    plain = await opened(Resource("archive_default", "archive", "zipfile"))
    aes = await opened(Resource("aes", "archive", "pyzipper"))
    run = Run(tmp_path, connectors={"archive_default": plain, "aes": aes})
    run.write(FILES)

    assert (await run.zip(dest_path="1.zip", items=["a.csv"], connector="aes"))["driver"] == "pyzipper"
    assert (await run.zip(dest_path="2.zip", items=["a.csv"]))["driver"] == "zipfile"
    with pytest.raises(StepError, match="archive:zipfile cannot write an encrypted archive"):
        await run.zip(dest_path="3.zip", items=["a.csv"], password=KEY)


async def test_enterprise_mode_allows_only_the_drivers_of_the_manifest(tmp_path: Path) -> None:
    connectors = {
        driver: await opened(Resource(driver, "archive", driver)) for driver in ("zipfile", "pyzipper")
    }
    run = Run(tmp_path, zip_drivers=frozenset({"zipfile"}), connectors=connectors)
    run.write(FILES)

    assert (await run.zip(dest_path="1.zip", items=["a.csv"], resource="zipfile"))["count"] == 1
    with pytest.raises(StepError, match="enterprise mode does not allow the archive driver 'pyzipper'"):
        await run.zip(dest_path="2.zip", items=["a.csv"], password=KEY, resource="pyzipper")
    with pytest.raises(StepError, match="allow the archive driver 'zipfile' without a resource") as caught:
        await run.zip(dest_path="2.zip", items=["a.csv"])
    assert caught.value.hint == "declare one: resources: {archive_default: {kind: archive, driver: zipfile}}"
    with pytest.raises(StepError, match="does not allow"):
        await run.unzip(archives="1.zip", dest_dir="in", password=KEY)


@pytest.mark.parametrize(("given", "method"), [("deflated", 8), (None, 8), ("stored", 0), ("bzip2", 0)])
async def test_compression(run: Run, given: str | None, method: int) -> None:
    outputs = await run.zip(dest_path="out.zip", items=["a.csv"], compression=given)

    with zipfile.ZipFile(outputs["output"]) as archive:
        assert archive.infolist()[0].compress_type == method
    assert bool(run.logged) == (given == "bzip2")


@pytest.mark.parametrize("password", [None, "p"])
async def test_without_overwrite_the_same_archive_is_left_and_another_is_an_error(
    run: Run, password: str | None
) -> None:
    again = {"dest_path": "out.zip", "items": ["a.csv", "sub"], "overwrite": False, "password": password}
    first = await run.zip(**again)
    before = (run.artifacts / "out.zip").stat()
    assert await run.zip(**again) == first
    assert (run.artifacts / "out.zip").stat().st_ino == before.st_ino

    run.write({"a.csv": "A"})
    with pytest.raises(StepError, match="exists and holds something else") as caught:
        await run.zip(**again)
    assert caught.value.code == "AF396"
    assert (await run.zip(**{**again, "overwrite": True}))["count"] == 3


async def test_a_file_that_grows_while_it_is_packed_is_an_error_and_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat
    monkeypatch.setattr(
        "aetherflow_archive.zip_writing.os.fstat",
        lambda fd: os.stat_result((*real(fd)[:6], real(fd).st_size - 1, *real(fd)[7:])),
    )
    with pytest.raises(StepError, match=r"a.csv changed while it was packed"):
        await run.zip(dest_path="out.zip", items=["a.csv"])

    assert not (run.artifacts / "out.zip").exists()
    assert run.left_over() == []


async def test_an_old_archive_stays_if_the_new_one_fails(run: Run) -> None:
    await run.zip(dest_path="out.zip", items=["a.csv"])
    before = (run.artifacts / "out.zip").read_bytes()
    (run.artifacts / "sub" / "c.csv").chmod(0)
    (run.artifacts / "sub" / "c.csv").unlink()
    os.mkfifo(run.artifacts / "sub" / "c.csv")
    with pytest.raises(StepError):
        await run.zip(dest_path="out.zip", items=["sub/c.csv"])

    assert (run.artifacts / "out.zip").read_bytes() == before


async def test_a_folder_in_the_place_of_the_archive_is_a_clear_error(run: Run) -> None:
    with pytest.raises(StepError, match=r"cannot read or write .*sub: Is a directory") as caught:
        await run.zip(dest_path="sub", items=["a.csv"])
    assert caught.value.code == "AF397"


async def test_a_cancelled_step_stops_between_blocks_and_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write({"large.csv": bytes(3 * 2**20)})
    scope = anyio.CancelScope()
    real = Run.context(run).progress.__func__  # type: ignore[attr-defined]

    def cancelled_at_the_first_block(context: Any, *args: Any, **more: Any) -> None:
        real(context, *args, **more)
        anyio.from_thread.run_sync(scope.cancel)
        while not context.stopping:
            pass

    monkeypatch.setattr("aetherflow.sdk.context.StepContext.progress", cancelled_at_the_first_block)
    with scope:
        await run.zip(dest_path="out.zip", items=["large.csv"])

    assert scope.cancelled_caught
    assert not (run.artifacts / "out.zip").exists()
    assert run.left_over() == []


async def test_progress_is_reported_in_bytes(run: Run) -> None:
    await run.zip(dest_path="out.zip", items=["a.csv", "sub"])

    last = run.of(StepProgress)[-1]
    assert (last.done, last.total, last.unit) == (3, 3, "bytes")


async def test_archives_above_the_limits_of_the_old_format_are_zip64(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write({"large.csv": b"x" * 5000})
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        outputs = await run.zip(dest_path="out.zip", items=["large.csv", "a.csv"], compression="stored")
    assert b"PK\x06\x06" in content_of(outputs["output"])
    await run.unzip(archives="out.zip", dest_dir="in")
    assert run.read("in") == {"large.csv": "x" * 5000, "a.csv": "a"}


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"items": ["a"]}, "dest_path"),
        ({"dest_path": "o.zip"}, "items"),
        ({"dest_path": "o.zip", "items": "a.csv"}, "items"),
        ({"dest_path": "o.zip", "items": [{"glop": "a"}]}, "items"),
        ({"dest_path": "o.zip", "items": ["a"], "src": "a"}, "items"),
        ({"dst": "o.zip", "src": "a", "src_dir": "b"}, "src_dir"),
    ],
)
async def test_inputs_that_make_no_sense_are_refused(run: Run, inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(StepError, match=problem):
        await run.zip(**inputs)


async def test_an_empty_password_and_a_name_of_another_format_are_warnings(run: Run) -> None:
    outputs = await run.zip(dest_path="o.7z", items=["a.csv"], password="")
    assert outputs["password"] is False
    assert run.logged == [
        "the password is empty, so that the archive is not encrypted",
        "o.7z becomes a zip archive, whatever its name says",
    ]


@pytest.mark.parametrize("items", [[""], ["a.csv", ""]])
async def test_an_empty_item_is_an_error(run: Run, items: list[str]) -> None:
    with pytest.raises(StepError, match="an item is empty"):
        await run.zip(dest_path="o.zip", items=items)


@pytest.mark.parametrize("pattern", ["**x", "a/***"])
async def test_a_pattern_that_is_none_is_an_error(run: Run, pattern: str) -> None:
    with pytest.raises(StepError, match="is not valid"):
        await run.zip(dest_path="o.zip", items=[pattern])


async def test_a_password_that_is_no_text_is_an_error(run: Run) -> None:
    with pytest.raises(StepError, match="not UTF-8"):
        await run.zip(dest_path="o.zip", items=["."], password=f"{KEY}\udcff")


@pytest.mark.parametrize("password", [None, KEY])
async def test_an_error_while_packing_is_not_hidden_by_the_library(
    run: Run, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    failures = [OSError(errno.ENOSPC, "No space left on device")]
    left_open: list[io.IOBase] = []

    def full(file: io.IOBase) -> None:
        left_open.append(file)
        if failures:
            raise failures.pop()

    run.write({"large": os.urandom(300_000)})
    for library in (zipfile, pyzipper.zipfile):
        monkeypatch.setattr(library._ZipWriteFile, "close", full)
    with pytest.raises(StepError, match=r"cannot read or write .*o\.zip: No space left on device") as caught:
        await run.zip(dest_path="o.zip", items=["large"], password=password)
    assert (caught.value.code, caught.value.hint) == ("AF397", "make room on the disk")
    assert run.left_over() == []
    assert left_open
    for file in left_open:  # else its own `close` would fail when it is collected, in some other test
        io.IOBase.close(file)
