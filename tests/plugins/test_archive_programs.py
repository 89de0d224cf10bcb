"""Archives by installed programs, `os` and `external`; and `pyminizip`, by a double of its module."""

from __future__ import annotations

import shutil
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_archive import watching
from aetherflow_archive.external_connector import ExternalConnector
from aetherflow_archive.os_connector import OsConnector
from aetherflow_archive.pyminizip_connector import PyminizipConnector
from aetherflow_archive.zip_step import zip_files

from aetherflow import Connector, MissingExtra, Resource, StepError, run_blocking
from aetherflow.testing import run_step
from tests.plugins.archives import KEY, WRONG, Run, archive_of, content_of, names_in
from tests.polling import eventually, wait_until
from tests.steps.process_context import is_alive

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(
        not (shutil.which("zip") and shutil.which("unzip")), reason="needs the Debian packages zip and unzip"
    ),
]
FILES = {"a.csv": "id\n1\n", "sub/ü [1].csv": "x" * 5000, "-d": "dash", "empty": ""}
PYTHON_TAR = {
    "zip_cmd": ["tar", "-cf", "{archive}", "-C", "{base_dir}", "--", "{files}"],
    "unzip_cmd": ["tar", "-xf", "{archive}", "-C", "{dest}"],
}


async def run_with(tmp_path: Path, kind: type[Any], **config: Any) -> Run:
    """Return a run whose default archive resource is of this kind."""
    connector: Connector = await kind.open(Resource("archive_default", "archive", kind.driver, config))
    run = Run(tmp_path, connectors={"archive_default": connector})
    run.write(FILES, "src")
    return run


@pytest.mark.parametrize("password", [None, KEY])
async def test_the_installed_zip_packs_and_unpacks_what_others_read(
    tmp_path: Path, password: str | None
) -> None:
    run = await run_with(tmp_path, OsConnector)
    first = await run.zip(dest_path="o.zip", items=["src"], src_dir="src", password=password)
    assert (first["driver"], first["count"], first["password"]) == ("os", 4, password is not None)
    names = [name.encode("cp437").decode() for name in names_in(first["output"])]  # it does not mark UTF-8
    assert names == sorted(FILES)
    packed = content_of(first["output"])
    if password is None:
        await run.zip(dest_path="o.zip", items=["src"], src_dir="src")
        assert content_of(first["output"]) == packed
    outputs = await run.unzip(src="o.zip", dst="in", password=password)
    assert run.read("in") == FILES
    assert outputs["count"] == 4
    await run.unzip(src="o.zip", dst="some", password=password, members=["*[[]1].csv", "a.csv"])
    assert set(run.read("some")) == {"sub/ü [1].csv", "a.csv"}
    with zipfile.ZipFile(first["output"]) as archive:
        archive.setpassword((password or "").encode())
        assert archive.read("a.csv") == b"id\n1\n"
    again = {
        "dest_path": "o.zip",
        "items": ["src"],
        "src_dir": "src",
        "password": password,
        "overwrite": False,
    }
    assert await run.zip(**again) == first
    run.write({"src/a.csv": "new"})
    with pytest.raises(StepError, match="exists and holds something else"):
        await run.zip(**again)
    assert run.left_over() == []


async def test_a_name_without_a_suffix_gets_none(tmp_path: Path) -> None:
    run = await run_with(tmp_path, OsConnector)
    outputs = await run.zip(dest_path="out", items=["src/a.csv"])
    assert Path(outputs["output"]).name == "out"
    assert names_in(outputs["output"]) == ["src/a.csv"]


@pytest.mark.parametrize("password", [None, WRONG])
async def test_a_missing_or_wrong_password_is_reported(tmp_path: Path, password: str | None) -> None:
    run = await run_with(tmp_path, OsConnector)
    await run.zip(dest_path="o.zip", items=["src/a.csv"], password=KEY)
    with pytest.raises(StepError, match="the password is missing or wrong") as caught:
        await run.unzip(src="o.zip", dst="in", password=password)
    assert caught.value.code == "AF393"
    assert not (run.artifacts / "in").exists()


@pytest.mark.parametrize("kind", [OsConnector, ExternalConnector])
async def test_an_unsafe_archive_is_refused_before_the_program_starts(
    tmp_path: Path, kind: type[Any]
) -> None:
    config = {"zip_cmd": ["false"], "unzip_cmd": ["unzip", "{archive}"]} if kind is ExternalConnector else {}
    run = await run_with(tmp_path, kind, **config)
    archive_of(run.artifacts / "a.zip", {"../evil": b"x"})
    with pytest.raises(StepError, match="leads out of the folder"):
        await run.unzip(src="a.zip", dst="in")
    (run.artifacts / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(StepError, match="ended with exit code 9") as caught:
        await run.unzip(src="cut.zip", dst="in")
    assert caught.value.code == "AF986"
    assert not (run.artifacts / "in").exists()


async def test_commands_of_any_program_make_any_format(tmp_path: Path) -> None:
    run = await run_with(tmp_path, ExternalConnector, **PYTHON_TAR)
    outputs = await run.zip(dest_path="o.tar", items=["src"], src_dir="src")
    assert (outputs["driver"], outputs["count"]) == ("external", 4)
    await run.unzip(src="o.tar", dst="in")
    assert run.read("in") == FILES
    with pytest.raises(StepError, match="cannot unpack chosen members"):
        await run.unzip(src="o.tar", dst="in", members=["a.csv"])
    with pytest.raises(StepError, match=r"zip_cmd has no \{password\}"):
        await run.zip(dest_path="p.tar", items=["src"], password=KEY)


async def test_what_a_value_holds_is_not_filled_in_again_and_no_shell_reads_it(tmp_path: Path) -> None:
    config = {
        "zip_cmd": ["sh", "-c", 'printf "%s\\n" "$@" > "$0"', "{archive}", "a{password}b{other}", "{files}"],
        "unzip_cmd": ["false"],
    }
    run = await run_with(tmp_path, ExternalConnector, **config)
    outputs = await run.zip(dest_path="o.zip", items=["src"], password="{files}; $(id)")  # noqa: S106 - of a test
    assert content_of(outputs["output"]).decode().splitlines() == [
        "a{files}; $(id)b{other}",
        *(f"src/{name}" for name in sorted(FILES)),
    ]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["ln", "-s", "/etc", "{dest}/link"], "is a symbolic link"),
        (["mkfifo", "{dest}/pipe"], "is a pipe"),
        (["sh", "-c", 'head -c 2000000 /dev/zero > "$0/big"', "{dest}"], "more than 1,000,000 bytes"),
        (["sh", "-c", 'yes > "$0/big"', "{dest}"], "more than 1,000,000 bytes"),
        (["sh", "-c", "echo {password} is wrong >&2; exit 7", "{dest}"], r"exit code 7: \*\*\* is wrong"),
        (["no-such-program", "{dest}"], "no-such-program"),
    ],
)
async def test_what_a_program_writes_is_checked(tmp_path: Path, command: list[str], why: str) -> None:
    run = await run_with(
        tmp_path, ExternalConnector, zip_cmd=["false"], unzip_cmd=[*command[:1], *command[1:]]
    )
    (run.artifacts / "a.7z").write_bytes(b"7z")
    more = {"password": KEY} if "{password}" in str(command) else {}
    with pytest.raises(StepError, match=why):
        await run.unzip(src="a.7z", dst="in", max_size=1_000_000, **more)
    assert not (run.artifacts / "in").exists()
    assert run.left_over() == []


async def test_a_command_that_writes_no_archive_is_an_error(tmp_path: Path) -> None:
    run = await run_with(tmp_path, ExternalConnector, zip_cmd=["true"], unzip_cmd=["true"])
    with pytest.raises(StepError, match=r"wrote no o\.zip"):
        await run.zip(dest_path="o.zip", items=["src"])


async def test_a_cancelled_step_ends_its_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = ["sh", "-c", f"echo $$ > {started}; sleep 60; echo late > {tmp_path}/late"]
    run = await run_with(tmp_path, ExternalConnector, zip_cmd=command, unzip_cmd=["true"])
    async with anyio.create_task_group() as group:
        group.start_soon(run_step, zip_files, {"dest_path": "o.zip", "items": ["src"]}, run)
        assert await eventually(lambda: started.exists() and bool(started.read_text().strip()))
        group.cancel_scope.cancel()
    assert not is_alive(int(started.read_text()))
    assert not (run.artifacts / "o.zip").exists()
    assert run.left_over() == []


async def test_a_plugin_packs_and_unpacks_without_a_step(tmp_path: Path) -> None:
    run = await run_with(tmp_path, OsConnector)
    connector = await OsConnector.open(Resource("zip", "archive", "os"))
    base = run.artifacts / "src"

    def both() -> dict[str, Any]:
        connector.create_zip(output=tmp_path / "p.zip", files=[base / "a.csv"], base_dir=base, password=KEY)
        return connector.extract_zip(archive=tmp_path / "p.zip", dest_dir=tmp_path / "out", password=KEY)

    assert (await run_blocking(both))["driver"] == "os"
    assert (tmp_path / "out" / "a.csv").read_text() == FILES["a.csv"]


async def test_a_program_that_no_step_watches_has_a_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    command = [
        "sh",
        "-c",
        f"echo $LC_ALL; sleep 60 & echo $! > {started}.part; mv {started}.part {started}; wait",
    ]
    run = await run_with(tmp_path, ExternalConnector, zip_cmd=command, unzip_cmd=["true"])
    config = {"zip_cmd": command, "unzip_cmd": ["true"]}
    connector = await ExternalConnector.open(Resource("zip", "archive", "external", config))
    base = run.artifacts / "src"
    monkeypatch.setattr(watching, "MOST_SECONDS", 0.5)
    with pytest.raises(StepError, match=r"sh did not end within 0\.5 s") as caught:
        await run_blocking(
            lambda: connector.create_zip(output=tmp_path / "p.zip", files=[base / "a.csv"], base_dir=base)
        )
    assert (caught.value.code, caught.value.kind) == ("AF733", "timeout")
    if started.exists():  # a slow machine may have ended the shell before
        wait_until(lambda: not is_alive(int(started.read_text())), "its child goes on", seconds=30)
    assert not (tmp_path / "p.zip").exists()


async def test_doctor_says_which_program_is_missing() -> None:
    connector = await OsConnector.open(Resource("zip", "archive", "os", {"zip_cmd": "no-such-zip"}))
    checks = await connector.check()
    assert [(one.state, one.message) for one in checks] == [
        ("error", "the program no-such-zip is not installed"),
        ("ok", f"unzip is {shutil.which('unzip')}"),
    ]


async def test_pyminizip_packs_with_a_password_and_unpacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingExtra, match="needs the package pyminizip"):
        await PyminizipConnector.open(Resource("old", "archive", "pyminizip"))
    calls: list[Any] = []

    def compress_multiple(
        files: list[str], prefixes: list[str], target: str, password: str, level: int
    ) -> None:
        calls.append(([Path(file).name for file in files], prefixes, password, level))
        Path(target).write_bytes(b"PK")

    double = types.ModuleType("pyminizip")
    monkeypatch.setattr(double, "compress_multiple", compress_multiple, raising=False)
    monkeypatch.setitem(sys.modules, "pyminizip", double)
    run = await run_with(tmp_path, PyminizipConnector, level=9)
    outputs = await run.zip(dest_path="o.zip", items=["src"], src_dir="src", password=KEY)
    assert (outputs["driver"], outputs["size"]) == ("pyminizip", 2)
    assert calls == [(["-d", "a.csv", "empty", "ü [1].csv"], ["", "", "", "sub"], KEY, 9)]
    with pytest.raises(StepError, match="packs with a password only"):
        await run.zip(dest_path="o.zip", items=["src"])
    with pytest.raises(StepError, match="cannot unpack"):
        await run.unzip(src="o.zip", dst="in", password=KEY)


async def test_the_installed_unzip_does_not_know_aes(tmp_path: Path) -> None:
    run = await run_with(tmp_path, OsConnector)
    packer = Run(tmp_path / "other")
    packer.write(FILES, "src")
    packed = await packer.zip(dest_path="o.zip", items=["src"], src_dir="src", password=KEY)
    with pytest.raises(StepError, match="such as AES, that it does not know") as caught:
        await run.unzip(src=packed["output"], dst="in", password=KEY)
    assert "pyzipper" in caught.value.hint
