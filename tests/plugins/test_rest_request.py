"""rest_request as the engine calls it: real files, a real server, effects that survive an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from aetherflow_rest.bodies import SentFile, file_body
from aetherflow_rest.call import Call
from aetherflow_rest.httpx_connector import rest_connector

from aetherflow import NOT_DONE, StepError
from aetherflow.clock import SystemClock
from aetherflow.testing import FakeRun
from aetherflow.transfer.local_files import LocalFiles
from tests.plugins.rest_parts import at_once, opened, requested
from tests.servers.http_server import Answer, HttpServer, Request
from tests.servers.tcp_proxy import TcpProxy
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

BIG = 500_000_000 if LARGE else 50_000_000
BLOCK = b"0123456789abcdef" * 4096
CUTS = 100 if LARGE else 20


@asynccontextmanager
async def run_with(
    server: HttpServer, folder: Path, options: dict[str, Any] | None = None, port: int | None = None
) -> AsyncIterator[FakeRun]:
    """A run with the resource `api`: the server, or a port that leads to it."""
    url = f"http://localhost:{port or server.port}/v1"
    async with opened(url, options or {"timeout": 5}, bearer_token=TOKEN) as api:
        yield FakeRun(folder, clock=SystemClock(), connectors={"api": api}, secrets=[TOKEN])


TOKEN = "t0ken-of-the-resource"  # noqa: S105 - it opens nothing


def echo(request: Request) -> Answer:
    return Answer(
        json={
            "method": request.method,
            "query": request.query,
            "body": request.body.decode(),
            "type": request.headers.get("content-type"),
        }
    )


async def test_the_answer_becomes_outputs(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/users", Answer(json={"data": [{"id": 7}, {"id": 8}], "@odata.next": None}))
        async with run_with(server, tmp_path) as run:
            outputs = await requested(
                run,
                path="/users",
                params={"version": "3.10", "tag": ["a", "b"], "none": None},
                extract={"first": "data.0.id", "ids": "data.*.id", "next": "@odata.next"},
            )
        content = json.dumps({"data": [{"id": 7}, {"id": 8}], "@odata.next": None}).encode()
        assert outputs | {"headers": {}} == {
            "status": 200,
            "json": {"data": [{"id": 7}, {"id": 8}], "@odata.next": None},
            "text": None,
            "headers": {},
            "path": "",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "pages": 1,
            "count": None,
            "first": 7,
            "ids": [7, 8],
            "next": None,
        }
        assert outputs["headers"]["content-type"] == "application/json"
        assert server.requests[0].query == {"version": "3.10", "tag": "b"}
        assert run.effects == {}  # reading is no effect


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(204), (204, None, None)),
        (Answer(body="grüße", headers={"Content-Type": "text/plain; charset=utf-8"}), (200, None, "grüße")),
        (
            Answer(body=b"gr\xfc\xdfe", headers={"Content-Type": "text/plain; charset=latin-1"}),
            (200, None, "grüße"),
        ),
        (Answer(body=b"\xff\xfe\x00", headers={"Content-Type": "image/png"}), (200, None, None)),
        (Answer(body="\ufeff[1]", headers={"Content-Type": "application/hal+json"}), (200, [1], None)),
        (Answer(201, json=0), (201, 0, None)),
    ],
)
async def test_what_is_no_json_is_text_or_nothing(tmp_path: Path, answer: Answer, expected: Any) -> None:
    with HttpServer() as server:
        server.on("/v1/x", answer)
        async with run_with(server, tmp_path) as run:
            outputs = await requested(run, path="x")
    assert (outputs["status"], outputs["json"], outputs["text"]) == expected


@pytest.mark.parametrize(
    ("inputs", "body", "content_type"),
    [
        ({"json": {"a": [1, None]}}, '{"a":[1,null]}', "application/json"),
        ({"json": {}, "headers": {"content-type": "application/x"}}, "{}", "application/x"),
        (
            {"form": {"a": "1 2", "b": ["x", "y"], "c": None}},
            "a=1+2&b=x&b=y",
            "application/x-www-form-urlencoded",
        ),
        ({"body": "<a/>"}, "<a/>", "text/plain; charset=utf-8"),
        ({"file": "data.csv"}, "a;b\n", "text/csv"),
        ({"file": "empty.bin"}, "", "application/octet-stream"),
        ({}, "", None),
    ],
)
async def test_each_body_is_sent_with_its_type(
    tmp_path: Path, inputs: dict[str, Any], body: str, content_type: str | None
) -> None:
    with HttpServer() as server:
        server.on("/v1/echo", echo)
        async with run_with(server, tmp_path) as run:
            artifacts = run.context().artifacts
            (artifacts / "data.csv").write_text("a;b\n")
            (artifacts / "empty.bin").touch()
            outputs = await requested(run, path="echo", method="post", **inputs)
    assert outputs["json"] == {"method": "POST", "query": {}, "body": body, "type": content_type}


async def test_a_file_goes_into_a_form_with_its_other_fields(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/echo", echo)
        async with run_with(server, tmp_path) as run:
            (run.context().artifacts / "data.csv").write_text("a;b\n")
            file = {"path": "data.csv", "field": "document", "name": 'q"1.csv'}
            outputs = await requested(run, path="echo", method="POST", file=file, form={"tag": ["x", "y"]})
    kind, _, boundary = outputs["json"]["type"].partition("; boundary=")
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="tag"\r\n\r\n'
    assert kind == "multipart/form-data"
    assert outputs["json"]["body"] == (
        f"{field}x\r\n{field}y\r\n--{boundary}\r\n"
        'Content-Disposition: form-data; name="document"; filename="q%221.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\na;b\n\r\n--{boundary}--\r\n"
    )


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


async def test_an_unexpected_status_shows_what_the_server_said_and_what_to_do(tmp_path: Path) -> None:
    cases = [
        (Answer(404, "no such  user\n"), "answered 404 Not Found: no such user", "check the path", "other"),
        (Answer(401), "answered 401 Unauthorized", "check the token", "other"),
        (Answer(422, json={"detail": "x" * 999}), "x ...", "correct what the answer names", "other"),
        (
            Answer(503, headers={"Retry-After": "120"}),
            "answered 503 Service Unavailable; it demands to wait: Retry-After 120",
            "let the step retry",
            "connection",
        ),
        (
            Answer(500, b"\x00" * 50),
            "answered 500 Internal Server Error: (50 bytes that are no text)",
            "",
            "connection",
        ),
        (Answer(302), "answered 302 Found", "expect_status", "other"),
        (
            Answer(500, b"x" * 5000, cut_after=10),
            "answered 500 Internal Server Error: xxxxxxxxxx ...",
            "",
            "connection",
        ),
    ]
    with HttpServer() as server:
        async with run_with(server, tmp_path) as run:
            for answer, message, hint, kind in cases:
                server.on("/v1/x", answer)
                with pytest.raises(StepError) as caught:
                    await requested(run, path="x")
                error = caught.value
                assert error.message.startswith("resource 'api': GET http://localhost:")
                assert message in error.message
                assert hint in error.hint
                assert (error.code, error.kind, error.detail["status"]) == ("AF378", kind, answer.status)
                assert len(error.message) < 450


async def test_expected_statuses_are_answers(tmp_path: Path) -> None:
    with HttpServer() as server:
        async with run_with(server, tmp_path, at_once()) as run:
            for status, expected in ((404, [200, 404]), (302, "3xx"), (503, "503"), (418, "4XX")):
                server.on("/v1/x", Answer(status, headers={"Location": "/v1/y"}))
                assert (await requested(run, path="x", expect_status=expected))["status"] == status
            server.on("/v1/x", Answer(200))
            with pytest.raises(StepError, match="answered 200 OK"):
                await requested(run, path="x", expect_status=201)
        assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("answer", "inputs", "message"),
    [
        (
            Answer(body="<html>Sign in</html>", headers={"Content-Type": "application/json"}),
            {},
            "is not valid JSON: JSON is malformed: invalid character (byte 0): <html>Sign in</html>",
        ),
        (Answer(body="text"), {"extract": {"a": "b"}}, "the answer is not valid JSON"),
        (Answer(), {"extract": {"a": "b"}}, "extract.a: there is no 'b' at its top, but null"),
        (
            Answer(json={"a": [1]}),
            {"extract": {"x": "a.1"}},
            "extract.x: there is no '1' at 'a', but a list of 1",
        ),
        (Answer(json={"a": {}}), {"extract": {"x": "a.b.c"}}, "there is no 'b' at 'a', but an empty mapping"),
        (Answer(json={"a": 1}), {"extract": {"x": "b"}}, "there is no 'b' at its top, but a mapping with a"),
        (Answer(body="x" * 3000), {"max_json_kb": 2}, "the answer is larger than 2,048 bytes"),
    ],
)
async def test_an_answer_that_does_not_fit_is_described(
    tmp_path: Path, answer: Answer, inputs: dict[str, Any], message: str
) -> None:
    with HttpServer() as server:
        server.on("/v1/x", answer)
        async with run_with(server, tmp_path, at_once()) as run:
            with pytest.raises(StepError) as caught:
                await requested(run, path="x", **inputs)
    assert caught.value.message.startswith("GET x: ")
    assert message in caught.value.message
    assert caught.value.code == ("AF380" if "extract." in message or "there is no" in message else "AF379")
    assert caught.value.hint
    assert len(server.requests) == 1  # it would be the same again


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"json": {}, "body": "x", "method": "POST"}, "json and body are several bodies"),
        ({"json": {}}, "a GET has no json: add method: POST"),
        ({"paginate": "link", "method": "POST"}, "paginate reads pages by GET, not by POST"),
        ({"extract": {"status": "a"}}, "extract cannot have the name 'status'"),
        ({"extract": {"a": "b"}, "save_to": "x"}, "extract needs the answer in memory: leave out save_to"),
        ({"expect_status": [200, "ok"]}, "expect_status 'ok' is no status"),
        ({"paginate": "pages"}, "paginate"),
        ({"url": "x"}, "unknown field `url`"),
    ],
)
async def test_inputs_that_contradict_each_other_are_refused(
    tmp_path: Path, inputs: dict[str, Any], message: str
) -> None:
    with HttpServer() as server:
        async with run_with(server, tmp_path) as run:
            with pytest.raises(StepError, match="do not fit") as caught:
                await requested(run, **inputs)
    assert message in str(caught.value)


async def test_a_confirmed_post_is_not_sent_again_by_another_attempt(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/orders", Answer(201, json={"id": 7}))
        async with run_with(server, tmp_path) as run:
            order: dict[str, Any] = {"path": "/orders", "method": "POST", "json": {"item": "x"}}
            with pytest.raises(StepError, match=r"extract\.number"):
                await requested(run, **order, extract={"number": "number"})
            outputs = await requested(run, attempt=2, **order, extract={"number": "id"})
        assert (outputs["status"], outputs["number"], len(server.requests)) == (201, 7, 1)
        assert [key for *_, key in run.effects] == ["POST /orders"]
        assert run.logged == ["POST /orders was answered before; it is not sent again"]


async def test_a_request_that_nobody_confirmed_is_sent_again_with_a_word(tmp_path: Path) -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/v1/orders", Answer(201))
        server.on("/v1/orders/7", Answer(204), Answer(404))
        async with run_with(server, tmp_path, {"timeout": 5}, proxy.port) as run:
            order: dict[str, Any] = {"path": "/orders", "method": "POST", "json": {}}
            proxy.cut_after(0, "down")
            with pytest.raises(StepError, match="broke in the middle"):
                await requested(run, **order)
            assert (await requested(run, attempt=2, **order))["status"] == 201
            assert run.logged == ["POST /orders may have been sent before; it is sent again"]
            proxy.cut_after(0, "down")
            with pytest.raises(StepError, match="broke in the middle"):
                await requested(run, path="/orders/7", method="DELETE")
            again = await requested(run, attempt=2, path="/orders/7", method="DELETE")
            assert again["status"] == 404  # it is gone, as was requested
        assert [request.method for request in server.requests] == ["POST", "POST", "DELETE", "DELETE"]


async def test_a_request_that_no_server_has_seen_is_not_done_and_sent_without_a_word(tmp_path: Path) -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/v1/orders", Answer(201))
        async with run_with(server, tmp_path, {"timeout": 5}, proxy.port) as run:
            order: dict[str, Any] = {"path": "/orders", "method": "POST", "json": {}}
            proxy.refuse()
            for attempt in (1, 2):
                with pytest.raises(StepError, match="refuses connections") as caught:
                    await requested(run, attempt=attempt, **order)
                assert (caught.value.code, caught.value.kind) == ("AF375", "connection")
            assert [NOT_DONE in effect.result for effect in run.effects.values()] == [True, True]
            proxy.heal()
            assert (await requested(run, attempt=3, **order))["status"] == 201
            assert (await requested(run, attempt=4, **order))["status"] == 201
        assert [key for *_, key in run.effects] == ["POST /orders", "POST /orders (2)", "POST /orders (3)"]
        assert run.logged == ["POST /orders was answered before; it is not sent again"]
        assert len(server.requests) == 1


async def test_with_an_idempotency_key_a_post_is_repeated_at_once(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/orders", Answer(503), Answer(201))
        async with run_with(server, tmp_path, at_once()) as run:
            order: dict[str, Any] = {"path": "/orders", "method": "POST", "json": {}}
            assert (await requested(run, **order, idempotency_header=True))["status"] == 201
        keys = {request.headers["idempotency-key"] for request in server.requests}
        assert (len(server.requests), keys) == (2, {"run-1/job/step"})
        async with run_with(server, tmp_path, at_once()) as run:
            await requested(run, **order, idempotency_header="X-Request-Id")
        assert server.requests[-1].headers["x-request-id"] == "run-1/job/step"
        for word, is_sent in (("true", True), ("no", False), (False, False)):
            async with run_with(server, tmp_path, at_once()) as run:
                await requested(run, **order, idempotency_header=word)
            assert ("idempotency-key" in server.requests[-1].headers) is is_sent


async def test_no_secret_is_in_an_effect_or_a_log(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/orders", lambda request: Answer(json=request.headers["authorization"]))
        async with run_with(server, tmp_path) as run:
            await requested(run, path=f"/orders?key={TOKEN}", method="POST", headers={"X": TOKEN})
            with pytest.raises(StepError) as caught:
                await requested(run, path=f"/nothing?key={TOKEN}", method="POST", attempt=2)
    assert TOKEN not in repr(run.effects)
    assert TOKEN not in f"{caught.value.message} {caught.value.detail}"


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
                ("folder", "folder: is a directory"),
                ("/proc/x", "write /proc/x: no such file"),
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
                with pytest.raises(StepError, match=r"x\.json: no space left on device") as caught:
                    await requested(run, path="x", save_to="x.json", **more)
                assert (caught.value.code, caught.value.kind) == ("AF735", "other")
            assert [path.read_text() for path in old.parent.iterdir()] == ["old"]
    assert len(server.requests) == 2


async def test_another_resource_is_no_http_server(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, connectors={"api": LocalFiles("api", None)})
    with pytest.raises(StepError, match="resource 'api' is no HTTP server"):
        await requested(run)
