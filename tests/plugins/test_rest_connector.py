"""rest:httpx on a real server: logins, repetitions, redirects, certificates, and each failure in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aetherflow_rest.httpx_connector import RestConnector
from aetherflow_rest.repetition import retry_after_seconds, wait_before
from aetherflow_rest.settings import RetryOptions

from aetherflow import ConfigError, StepError
from tests.plugins.rest_parts import at_once, opened, resource
from tests.servers.certificates import Authority
from tests.servers.free_port import silent_port
from tests.servers.http_server import Answer, HttpServer, Request
from tests.servers.tcp_proxy import How, TcpProxy

Config = dict[str, Any]


def seen(server: HttpServer) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


async def failure(base_url: str, options: Config | None = None, **config: Any) -> StepError:
    """The error of a GET."""
    async with opened(base_url, options or {"timeout": 5}, **config) as api:
        with pytest.raises(StepError) as caught:
            await api.get("/list")
    return caught.value


@pytest.mark.asyncio
async def test_the_methods_of_0_0_send_what_they_always_sent() -> None:
    with HttpServer() as server:
        server.on("/v1/echo", lambda request: Answer(json=[request.method, request.body.decode()]))
        async with opened(f"{server.url}/v1/", headers={"X-Client": "ann"}) as api:
            answers = [
                await api.request("PATCH", "/echo", content=b"raw"),
                await api.get("echo", params={"a": "1"}),
                await api.post("/echo", json={"a": 1}),
                await api.put("/echo", data={"a": "1"}),
                await api.delete("/echo", headers={"X-Step": "s"}),
            ]
            assert [answer.json() for answer in answers] == [
                ["PATCH", "raw"],
                ["GET", ""],
                ["POST", '{"a":1}'],
                ["PUT", "a=1"],
                ["DELETE", ""],
            ]
            assert api.base_url() == f"{server.url}/v1"
            assert api.headers() == {"X-Client": "ann"}
            assert (api.kind, api.driver, api.config["base_url"]) == ("rest", "httpx", f"{server.url}/v1/")
            assert (await api.get("/nothing")).status_code == 404  # a status is never an error here
            client = await api.async_client()
            assert (await client.get("/echo")).json() == ["GET", ""]
            assert (await api.client()).get("/echo").json() == ["GET", ""]
            await api.close()
            assert (await api.get("/echo")).status_code == 200
        assert server.requests[1].query == {"a": "1"}
        assert server.requests[4].headers["x-step"] == "s"
        assert {request.headers["x-client"] for request in server.requests} == {"ann"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"bearer_token": "t0ken"}, "Bearer t0ken"),
        ({"bearer_token": "t0ken", "headers": {"authorization": "Own"}}, "Own"),
        ({"username": "ann", "password": "pässword"}, "Basic YW5uOnDDpHNzd29yZA=="),
        ({}, None),
    ],
)
@pytest.mark.asyncio
async def test_each_way_to_log_in_is_one_header(config: Config, expected: str | None) -> None:
    with HttpServer() as server:
        server.on("/", Answer())
        async with opened(server.url, **config) as api:
            await api.get("/")
        assert server.requests[0].headers.get("authorization") == expected


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"base_url": "example.org"}, {}, "config.base_url is no web address"),
        ({"base_url": "https://ann:x@example.org"}, {}, "config.base_url has a user or a password"),
        ({"username": "ann"}, {}, "config has only one of username and password"),
        (
            {"username": "a", "password": "b", "bearer_token": "c"},
            {},
            "config has a bearer_token and also a username",
        ),
        ({"client_key": "k.pem"}, {}, "config has a client_key without a client_cert"),
        (
            {"ca": "/nowhere/ca.pem"},
            {},
            "config.ca /nowhere/ca.pem cannot be used: no such file or directory",
        ),
        (
            {"client_cert": "/nowhere/c.pem"},
            {},
            "the client certificate /nowhere/c.pem cannot be used: no such file or directory",
        ),
        ({"bearer_token": "s\n"}, {}, "headers or bearer_token: the header Authorization has a line end"),
        ({"headers": {"X-Key": "größe"}}, {}, "the header X-Key has characters beyond ASCII"),
        ({"proxy": "nonsense"}, {}, "config.proxy is no proxy's address"),
        ({"baseurl": "x"}, {}, "config: Object contains unknown field `baseurl`"),
        ({}, {"time_out": 1}, "options: Object contains unknown field `time_out`"),
        ({}, {"retry": {"attempts": 1}}, "options.retry: Object contains unknown field `attempts`"),
    ],
)
@pytest.mark.asyncio
async def test_a_setting_that_cannot_be_used_is_named(config: Config, options: Config, message: str) -> None:
    with pytest.raises((StepError, ConfigError)) as caught:
        await RestConnector.open(resource(config, options))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.asyncio
async def test_the_options_of_0_0_and_empty_ones_are_taken() -> None:
    options = {"timeouts": {"total": "3"}, "verify_ssl": "false", "retries": "2", "retry": None}
    async with opened("http://localhost", options, headers=None, bearer_token=None) as api:
        assert api._options.silence_seconds == 3
        assert api._options.verify_ssl is False
        assert api._options.repetition.max_attempts == 2


@pytest.mark.asyncio
async def test_what_is_safe_is_repeated_and_what_is_not_is_sent_once() -> None:
    with HttpServer() as server:
        server.on("/", Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(200))
        async with opened(server.url, at_once()) as api:
            assert (await api.get("/")).status_code == 200
            server.on("/", Answer(503), Answer(200))
            assert (await api.post("/", json={})).status_code == 503
            server.on("/", Answer(500), Answer(200))
            assert (await api.get("/")).status_code == 500  # not one of the statuses
            server.on("/", Answer(503))
            assert (await api.get("/")).status_code == 503
        assert len(server.requests) == 3 + 1 + 1 + 3


@pytest.mark.asyncio
async def test_a_broken_connection_is_repeated_only_where_the_request_may_come_twice() -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/", Answer(body=b"x" * 1000))
        async with opened(f"http://127.0.0.1:{proxy.port}", at_once()) as api:
            proxy.cut_after(500, "down")
            assert len((await api.get("/")).content) == 1000
            proxy.cut_after(500, "down")
            with pytest.raises(StepError, match="broke in the middle of POST") as caught:
                await api.post("/", json={})
        assert (caught.value.code, caught.value.kind) == ("AF377", "connection")
        assert seen(server) == ["GET /", "GET /", "POST /"]


@pytest.mark.asyncio
async def test_a_post_that_never_left_is_sent_again() -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/", lambda _request: Answer())
        proxy.refuse()
        options = at_once(backoff_seconds=0.2, max_attempts=7)  # the thread that heals may be slow to start
        async with (
            opened(f"http://127.0.0.1:{proxy.port}", options) as api,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_heal_soon, proxy)
            assert (await api.post("/", json={})).status_code == 200
        assert seen(server) == ["POST /"]


async def _heal_soon(proxy: TcpProxy) -> None:
    await anyio.sleep(0.05)
    await anyio.to_thread.run_sync(proxy.heal)


def test_the_wait_is_what_the_server_demands_within_the_limit() -> None:
    options = RetryOptions(max_attempts=3, backoff_seconds=1, max_wait_seconds=10)
    assert [wait_before(number, options) for number in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert wait_before(1, options, 7) == 7
    assert wait_before(1, options, 11) is None  # asking again earlier is what the server forbids
    assert wait_before(1, RetryOptions(max_attempts=1, retry_after=False), 7) == 1
    assert wait_before(3, RetryOptions(max_attempts=9, backoff_seconds=30, max_wait_seconds=60)) == 60

    now = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds({"retry-after": "5"}, now) == 5
    assert retry_after_seconds({"retry-after": date}, now) == 90
    behind = format_datetime(now + timedelta(seconds=60), usegmt=True)
    assert retry_after_seconds({"retry-after": date, "date": behind}, now) == 30
    assert retry_after_seconds({"retry-after": date}, now + timedelta(days=1)) == 0
    assert retry_after_seconds({"retry-after": "soon"}, now) is None
    assert retry_after_seconds({}, now) is None


def to(url: str, status: int = 302) -> Answer:
    return Answer(status, headers={"Location": url, "Set-Cookie": "session=c00kie; Path=/"})


LOGIN: Config = {"username": "ann", "password": "s3cret"}
CREDENTIALS: Config = {"bearer_token": "t0ken", "headers": {"X-Api-Key": "k3y", "Cookie": "a=1"}}


@pytest.mark.asyncio
async def test_a_redirect_within_the_server_keeps_the_credentials() -> None:
    with HttpServer() as server:
        server.on("/old", to("/new"))
        server.on("/new", Answer(json=1))
        async with opened(server.url, **CREDENTIALS) as api:
            assert (await api.get("/old")).json() == 1
        headers = server.requests[1].headers
        assert (headers["authorization"], headers["x-api-key"]) == ("Bearer t0ken", "k3y")


@pytest.mark.asyncio
async def test_a_redirect_to_another_server_carries_no_credentials_and_the_way_back_neither() -> None:
    with HttpServer() as server, HttpServer() as other:
        server.on("/old", to(f"{other.url}/there"))
        other.on("/there", to(f"{server.url}/back"))
        server.on("/back", Answer(json=1))
        async with opened(server.url, **CREDENTIALS) as api:
            secret = {"X-Step-Token": "st3p", "Accept": "application/json"}
            assert (await api.get("/old", headers=secret)).json() == 1
        assert server.requests[0].headers["x-step-token"] == "st3p"
        for request in (other.requests[0], server.requests[1]):
            sent = " ".join(request.headers.values())
            assert not [word for word in ("t0ken", "k3y", "c00kie", "st3p", "a=1") if word in sent]
            assert request.headers["accept"] == "application/json"


@pytest.mark.asyncio
async def test_from_https_to_http_no_credentials_go(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with HttpServer(authority.server()) as server, HttpServer() as plain:
        server.on("/old", to(f"http://localhost:{plain.port}/there"))
        plain.on("/there", Answer(json=1))
        async with opened(server.url, ca=str(authority.ca), **LOGIN) as api:
            assert (await api.get("/old")).json() == 1
        assert "authorization" in server.requests[0].headers
        assert not {"authorization", "cookie"} & plain.requests[0].headers.keys()


@pytest.mark.asyncio
async def test_an_address_elsewhere_gets_the_headers_of_the_request_and_none_of_the_resource() -> None:
    with HttpServer() as server, HttpServer() as other:
        other.on("/x", Answer(json=1))
        async with opened(server.url, **CREDENTIALS) as api:
            await api.get(f"{other.url}/x", headers={"X-Other": "own"})
        headers = other.requests[0].headers
        assert headers["x-other"] == "own"
        assert not {"authorization", "x-api-key", "cookie"} & headers.keys()


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (303, "POST", "GET "),
        (302, "PUT", "GET "),
        (301, "POST", "GET "),
        (307, "POST", "POST body"),
        (308, "PUT", "PUT body"),
    ],
)
@pytest.mark.asyncio
async def test_a_redirect_changes_the_method_as_in_browsers(status: int, method: str, expected: str) -> None:
    with HttpServer() as server:
        server.on("/old", to("/new", status))
        server.on("/new", lambda request: Answer(body=f"{request.method} {request.body.decode()}"))
        async with opened(server.url) as api:
            assert (await api.request(method, "/old", content=b"body")).text == expected


@pytest.mark.asyncio
async def test_a_body_does_not_follow_a_redirect_to_another_server() -> None:
    with HttpServer() as server, HttpServer() as other:
        server.on("/old", to(f"{other.url}/there", 307))
        async with opened(server.url) as api:
            with pytest.raises(StepError, match="which must not get its body") as caught:
                await api.post("/old", json={"password": "s3cret"})
        assert (caught.value.code, other.requests) == ("AF382", [])


@pytest.mark.asyncio
async def test_a_base_url_with_a_query_is_the_whole_address() -> None:
    with HttpServer() as server:
        server.on("/hook", Answer())
        async with opened(f"{server.url}/hook?key=x") as api:
            await api.get("", params={"more": "y"})
            with pytest.raises(StepError, match="base_url has a query, so that no path can follow it"):
                await api.get("/below")
        assert [(one.path, one.query) for one in server.requests] == [("/hook", {"key": "x", "more": "y"})]


@pytest.mark.asyncio
async def test_redirects_end_and_can_be_switched_off() -> None:
    with HttpServer() as server:
        server.on("/circle", to("/circle"))
        async with opened(server.url, {"max_redirects": 3}) as api:
            with pytest.raises(StepError, match="was redirected more than 3 times"):
                await api.get("/circle")
        assert len(server.requests) == 4
        async with opened(server.url, {"follow_redirects": False}) as api:
            assert (await api.get("/circle")).status_code == 302
        server.on("/odd", to("ftp://example.org/x"))
        async with opened(server.url) as api:
            with pytest.raises(StepError, match="is no web address"):
                await api.get("/odd")


@pytest.mark.asyncio
async def test_certificates_are_checked_and_each_fault_has_its_sentence(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = str(authority.ca)
    cases = [
        (authority.server(), {}, "is not trusted: "),
        (authority.server(has_expired=True), {"ca": ca}, "has expired"),
        (authority.server(name="other.example"), {"ca": ca}, "is for another host: "),
        (authority.server(asks_clients=True), {"ca": ca}, "demands a client certificate"),
    ]
    for tls, config, message in cases:
        with HttpServer(tls) as server:
            error = await failure(server.url, at_once(), **config)
            assert message in error.message
            assert (error.code, error.kind) == ("AF376", "other")
            assert server.requests == []
    with HttpServer() as server:
        error = await failure(server.url.replace("http:", "https:"))
        assert "does not speak TLS at this port" in error.message

    client = authority.client()
    files: Config = {"client_cert": str(client.certificate), "client_key": str(client.key)}
    with HttpServer(authority.server(asks_clients=True)) as server:
        server.on("/list", Answer(json=[]))
        async with opened(server.url, ca=ca, **files) as api:
            assert (await api.get("/list")).json() == []
    with HttpServer(authority.server(has_expired=True)) as server:
        server.on("/list", Answer(json=[]))
        async with opened(server.url, {"verify_ssl": False}) as api:
            assert (await api.get("/list")).json() == []
            assert ["verify_ssl is false" in caution for caution in api.cautions] == [True]


@pytest.mark.asyncio
async def test_a_client_certificate_is_not_shown_to_another_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.client()
    files: Config = {"client_cert": str(client.certificate), "client_key": str(client.key)}
    tls = authority.server(asks_clients=True)
    with HttpServer(tls) as server, HttpServer(tls) as other:
        server.on("/list", to(f"{other.url}/there"))
        error = await failure(server.url, ca=str(authority.ca), **files)
        assert "demands a client certificate" in error.message
        assert other.requests == []


@pytest.mark.asyncio
async def test_each_failure_of_the_network_has_its_sentence() -> None:
    with silent_port() as port:
        error = await failure(f"http://127.0.0.1:{port}")
    assert error.message == f"resource 'api': 127.0.0.1:{port} refuses connections: nothing listens there"
    assert (error.code, error.kind) == ("AF375", "connection")

    error = await failure("http://nowhere.invalid")
    assert error.message.startswith("resource 'api': the host nowhere.invalid:80 has no address: ")
    assert (error.code, error.kind) == ("AF375", "connection")

    with HttpServer() as server, TcpProxy(server.port) as proxy:
        server.on("/list", Answer(body=b"x" * 10_000))
        url = f"http://127.0.0.1:{proxy.port}"
        proxy.pause()
        error = await failure(url, {"timeout": 1})
        assert "fell silent: GET http://127.0.0.1" in error.message
        assert (error.code, error.kind) == ("AF377", "timeout")
        proxy.heal()
        hows: tuple[How, ...] = ("fin", "rst")
        for how in hows:
            proxy.cut_after(5_000, "down", how)
            error = await failure(url)
            assert "broke in the middle of GET http://127.0.0.1" in error.message
            assert (error.code, error.kind) == ("AF377", "connection")


@pytest.mark.asyncio
async def test_an_address_or_header_that_cannot_be_sent_is_an_error_of_the_flow() -> None:
    with HttpServer() as server:
        async with opened(None) as api:
            with pytest.raises(StepError, match="is relative, and there is no base_url"):
                await api.get("/list")
            server.on("/list", Answer(json=[]))
            assert (await api.get(f"{server.url}/list?a=1", params={"b": "2"})).json() == []
            assert server.requests[0].query == {"a": "1", "b": "2"}
            with pytest.raises(StepError, match="is no web address"):
                await api.get("http://[::1/x")
        async with opened(server.url) as api:
            for headers, wrong in (
                ({"X": "a\r\nInjected: b"}, "the header X has a line end"),
                ({"X": "s3cret\n"}, "the header X has a line end"),
                ({"X": "größe"}, "the header X has characters beyond ASCII"),
                ({"X": "a\x00b"}, "the header X has control characters"),
                ({"X Y": "a"}, "'X Y' is no name of a header"),
            ):
                with pytest.raises(StepError, match=f"cannot be sent: {wrong}") as caught:
                    await api.get("/list", headers=headers)
                assert caught.value.code == "AF383"
                assert "s3cret" not in caught.value.message
        assert len(server.requests) == 1


@pytest.mark.asyncio
async def test_a_query_with_a_secret_is_not_in_an_error() -> None:
    error = await failure("http://nowhere.invalid/v1", at_once(max_attempts=0))
    async with opened("http://127.0.0.1:1/v1") as api:
        with pytest.raises(StepError) as caught:
            await api.get("/list?key=s3cret", params={"token": "s3cret"})
    assert "s3cret" not in f"{error} {caught.value} {caught.value.hint} {caught.value.detail}"


@pytest.mark.asyncio
async def test_a_proxy_is_used_and_named_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def forwarded(request: Request) -> Answer:
        return Answer(json=request.headers.get("proxy-authorization"))

    with HttpServer() as proxy:
        proxy.on("/list", forwarded)
        address = proxy.url.replace("http://", "http://ann:s3cret@")
        async with opened("http://example.invalid", proxy=address) as api:
            assert (await api.get("/list")).json() == "Basic YW5uOnMzY3JldA=="
    error = await failure("http://example.invalid", proxy="http://ann:s3cret@127.0.0.1:1")
    assert error.code == "AF375"
    assert "s3cret" not in str(error)
    assert "the proxy 127.0.0.1:1 refuses connections" in error.message
    assert "config.proxy" in str(error.hint)
    monkeypatch.setenv("http_proxy", "http://ann:s3cret@nowhere.invalid:8080")
    error = await failure("http://example.invalid")
    assert "the proxy nowhere.invalid:8080 has no address" in error.message
    monkeypatch.setenv("no_proxy", "example.invalid")
    error = await failure("http://example.invalid")
    assert "the host example.invalid:80 has no address" in error.message


@pytest.mark.asyncio
async def test_the_check_of_doctor_judges_answer_certificate_and_settings(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with HttpServer(authority.server()) as server:
        server.on("/v1", Answer())
        async with opened(f"{server.url}/v1", ca=str(authority.ca)) as api:
            checks = await api.check()
        assert [(check.subject, check.state) for check in checks] == [
            ("connection", "ok"),
            ("certificate", "ok"),
        ]
        assert seen(server) == ["HEAD /v1"]
    with HttpServer() as server:
        server.on("/v1", Answer(401))
        async with opened(f"{server.url}/v1", {"verify_ssl": False}, **LOGIN) as api:
            checks = await api.check()
        assert [(check.subject, check.state) for check in checks] == [
            ("login", "warning"),
            ("certificate", "warning"),
            ("encryption", "warning"),
        ]
    async with opened(None) as api:
        assert [check.state for check in await api.check()] == ["ok"]
    async with opened("http://127.0.0.1:1") as api:
        with pytest.raises(StepError, match="refuses connections"):
            await api.check()
