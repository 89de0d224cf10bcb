"""The step `rest_request` with files: large ones, cut ones, and disks that do not take them."""

from __future__ import annotations

import hashlib
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from aetherflow_rest.bodies import SentFile, file_body
from aetherflow_rest.call import Call
from aetherflow_rest.httpx_connector import rest_connector

from aetherflow import StepError
from tests.plugins.rest_parts import at_once, requested, run_with
from tests.servers.http_server import Answer, HttpServer, Request
from tests.servers.tcp_proxy import TcpProxy
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

BIG = 500_000_000 if LARGE else 50_000_000
BLOCK = b"0123456789abcdef" * 4096
CUTS = 100 if LARGE else 20


async def test_a_large_file_goes_up_and_down_in_little_memory(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/up", lambda request: Answer(json=request.size))
        server.on("/v1/down", Answer(body=[BLOCK] * (BIG // len(BLOCK))))
        async with run_with(server, tmp_path) as run:
            file = run.context().artifacts / "big.bin"
            with file.open("wb") as stream:
                stream.truncate(BIG)
            tracemalloc.start()
            try:
                up = await requested(run, path="up", method="PUT", file="big.bin")
                down = await requested(run, path="down", save_to="new/down.bin")
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    path = run.context().artifacts / "new/down.bin"
    expected = hashlib.sha256(BLOCK * (BIG // len(BLOCK))).hexdigest()
    assert (up["json"], down["size"], down["sha256"], down["json"]) == (
        BIG,
        path.stat().st_size,
        expected,
        None,
    )
    assert down["path"] == str(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == expected
    assert peak < 25_000_000


async def test_a_cut_download_leaves_nothing_and_is_repeated(tmp_path: Path) -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/v1/x", Answer(body=BLOCK * 20))
        async with run_with(server, tmp_path, {"timeout": 5}, proxy.port) as run:
            old = run.context().artifacts / "x.bin"
            old.write_text("old")
            proxy.cut_after(500_000, "down")
            with pytest.raises(StepError, match="broke in the middle") as caught:
                await requested(run, path="x", save_to="x.bin")
            assert (caught.value.kind, old.read_text()) == ("connection", "old")
            assert [path.name for path in old.parent.iterdir()] == ["x.bin"]
        async with run_with(server, tmp_path, at_once(), proxy.port) as run:
            proxy.cut_after(500_000, "down")
            assert (await requested(run, path="x", save_to="x.bin"))["size"] == len(BLOCK) * 20
            assert old.read_bytes() == BLOCK * 20


async def test_wherever_a_download_is_cut_a_repetition_has_the_right_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2048
    cuts = random.Random(7).sample(range(1, len(content)), CUTS)  # noqa: S311 - reproducible
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on(
            "/v1/x",
            lambda _request: Answer(body=[content[at : at + 9999] for at in range(0, len(content), 9999)]),
        )
        for number, cut in enumerate(cuts):
            async with run_with(server, tmp_path, at_once(), proxy.port) as run:
                proxy.cut_after(cut, "down", "rst" if number % 2 else "fin")
                await requested(run, path="x", save_to="x.bin")
                artifacts = run.context().artifacts
                assert (artifacts / "x.bin").read_bytes() == content, cut
                assert len(list(artifacts.iterdir())) == 1
        assert proxy.cuts == CUTS


def in_ranges(content: bytes, etag: str) -> Callable[[Request], Answer]:
    """A server that sends the rest of a file if it is still the same."""

    def answer(request: Request) -> Answer:
        begin, size = 0, len(content)
        if request.headers.get("if-range") == etag:
            begin = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        if begin >= size:
            return Answer(416, headers={"Content-Range": f"bytes */{size}"})
        place = {"Content-Range": f"bytes {begin}-{size - 1}/{size}"} if begin else {}
        return Answer(206 if begin else 200, content[begin:], {"ETag": etag, **place})

    return answer


async def test_after_a_cut_only_the_rest_of_a_file_is_requested(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(4_000_000)  # noqa: S311 - reproducible
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        async with run_with(server, tmp_path, at_once(), proxy.port) as run:
            server.on("/v1/x", in_ranges(content, '"1"'))
            proxy.cut_after(2_500_000, "down")
            outputs = await requested(run, path="x", save_to="x.bin", expect_status=200)
            path = run.context().artifacts / "x.bin"
            assert (outputs["status"], outputs["size"]) == (200, len(content))
            assert outputs["sha256"] == hashlib.sha256(content).hexdigest()
            assert path.read_bytes() == content
            assert proxy.down < 4_500_000
            assert server.requests[1].headers["range"].startswith("bytes=2")

            server.on("/v1/x", in_ranges(b"a" * 3_000_000, '"1"'), in_ranges(b"b" * 3_000_000, '"2"'))
            proxy.cut_after(2_500_000, "down")
            await requested(run, path="x", save_to="x.bin")
            assert path.read_bytes() == b"b" * 3_000_000  # the file had changed: all of it is read again

            server.on("/v1/x", in_ranges(b"c" * 3_000_000, 'W/"1"'))
            proxy.cut_after(2_500_000, "down")
            await requested(run, path="x", save_to="x.bin")
            assert "range" not in server.requests[-1].headers  # nothing says that it is the same file
            assert path.read_bytes() == b"c" * 3_000_000


async def test_a_file_whose_last_byte_had_arrived_is_whole(tmp_path: Path) -> None:
    content = b"x" * 2_097_152
    first = Answer(body=[content], headers={"ETag": '"1"'}, cut_after=len(content))  # without the last chunk
    with HttpServer() as server:
        server.on("/v1/x", first, in_ranges(content, '"1"'))
        async with run_with(server, tmp_path, at_once()) as run:
            outputs = await requested(run, path="x", save_to="x.bin")
    assert (outputs["status"], outputs["size"]) == (200, len(content))
    assert (run.context().artifacts / "x.bin").read_bytes() == content


async def test_a_file_that_becomes_shorter_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/x", Answer())
        async with run_with(server, tmp_path) as run:
            context = run.context()
            path = context.artifacts / "x.bin"
            path.write_bytes(b"x" * 3_000_000)
            body = await file_body(context, SentFile(path, "text/plain"))
            os.truncate(path, 2_000_000)
            api = await rest_connector(context, "api")
            with pytest.raises(StepError, match="became shorter while it was sent: 2000000 of 3000000 bytes"):
                await api.send(Call("PUT", "/x", body=body), _nothing)


async def _nothing(_response: Any) -> None:
    raise AssertionError("there is no answer")


async def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/x", Answer(body=b"x"))
        async with run_with(server, tmp_path) as run:
            artifacts = run.context().artifacts
            (artifacts / "folder").mkdir()
            with pytest.raises(StepError, match=r"nowhere\.csv cannot be sent: no such file") as caught:
                await requested(run, path="x", method="PUT", file="nowhere.csv")
            assert caught.value.code == "AF387"
            with pytest.raises(StepError, match="folder cannot be sent: it is a folder"):
                await requested(run, path="x", method="PUT", file="folder")
            for place, why in (
                ("folder", "folder: Is a directory"),
                ("/proc/x", "write /proc/x: No such file"),
            ):
                with pytest.raises(StepError, match=why) as caught:
                    await requested(run, path="x", save_to=place)
                assert caught.value.code == "AF735"


async def test_a_full_disk_leaves_the_old_file_and_is_no_fault_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_a_full_disk(_part: Path, _path: Path) -> BinaryIO:
        return cast("BinaryIO", Path("/dev/full").open("wb", buffering=0))

    monkeypatch.setattr("aetherflow_rest.answers._open_part", on_a_full_disk)
    with HttpServer() as server:
        server.on("/v1/x", Answer(json=[1]))
        async with run_with(server, tmp_path, at_once()) as run:
            old = run.context().artifacts / "x.json"
            old.write_text("old")
            ways: list[dict[str, Any]] = [{}, {"paginate": "page"}]
            for more in ways:
                with pytest.raises(StepError, match=r"x\.json: No space left on device") as caught:
                    await requested(run, path="x", save_to="x.json", **more)
                assert (caught.value.code, caught.value.kind) == ("AF735", "other")
            assert [path.read_text() for path in old.parent.iterdir()] == ["old"]
    assert len(server.requests) == 2
