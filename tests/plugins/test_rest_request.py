"""rest_request as the engine calls it: real files, a real server, effects that survive an interruption."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from aetherflow import NOT_DONE, StepError
from aetherflow.testing import FakeRun
from aetherflow.transfer.local_files import LocalFiles
from tests.plugins.rest_parts import TOKEN, at_once, requested, run_with
from tests.servers.http_server import Answer, HttpServer, Request
from tests.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio


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


async def test_a_request_that_the_server_refused_is_not_done(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on("/v1/orders", Answer(422), Answer(201))
        server.on("/v1/items", Answer(503), Answer(409))
        async with run_with(server, tmp_path, at_once()) as run:
            order: dict[str, Any] = {"path": "/orders", "method": "POST", "json": {}}
            with pytest.raises(StepError, match="422"):
                await requested(run, **order)
            assert [NOT_DONE in effect.result for effect in run.effects.values()] == [True]
            assert (await requested(run, attempt=2, **order))["status"] == 201
            assert run.logged == []
            # the answer to a repetition says nothing about the first request
            with pytest.raises(StepError, match="409"):
                await requested(run, path="/items", method="POST", json={}, idempotency_header=True)
        assert [effect.is_confirmed for effect in run.effects.values()] == [True, True, False]


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


async def test_another_resource_is_no_http_server(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, connectors={"api": LocalFiles("api", None)})
    with pytest.raises(StepError, match="resource 'api' is no HTTP server"):
        await requested(run)
