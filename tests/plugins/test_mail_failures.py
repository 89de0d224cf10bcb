"""What can be wrong between a flow and its mail server: each has a sentence of its own, and nothing hangs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aetherflow import ConfigError, StepError
from tests.plugins.mail_run import MailRun, open_mail
from tests.servers.free_port import silent_port
from tests.servers.smtp_server import Tls, smtp_server

pytestmark = pytest.mark.asyncio

LOGIN = {"username": "ann", "password": "s3cret"}


async def failure(folder: Path, config: dict[str, Any], **server: Any) -> StepError:
    """Return the error of sending with such a resource; the server must not take the mail."""
    async with smtp_server(folder, **server) as running:
        connector = await open_mail(running, config, timeout=3)
        with pytest.raises(StepError) as caught:
            await MailRun(folder, connector).send()
        assert running.mails == []
    return caught.value


@pytest.mark.parametrize(("tls", "config"), [("starttls", {}), ("implicit", {"tls": True, "starttls": None})])
@pytest.mark.parametrize("auth", ["password", "xoauth2"])
async def test_mail_goes_over_tls_after_a_login(
    tmp_path: Path, tls: Tls, config: dict[str, Any], auth: str
) -> None:
    async with smtp_server(tmp_path, tls=tls, users={"ann": "s3cret"}) as server:
        connector = await open_mail(server, {**config, **LOGIN, "auth": auth})
        await MailRun(tmp_path, connector).send()

    assert server.logins == ["ann"]
    assert len(server.mails) == 1


@pytest.mark.parametrize("auth", ["password", "xoauth2"])
async def test_a_wrong_password_is_tried_once_and_never_shown(tmp_path: Path, auth: str) -> None:
    async with smtp_server(tmp_path, users={"ann": "right"}) as server:
        connector = await open_mail(server, {**LOGIN, "auth": auth}, retry={"max_attempts": 3})
        with pytest.raises(StepError, match=r"refuses the login of 'ann': 535 5\.7\.8") as caught:
            await MailRun(tmp_path, connector).send()

    assert server.logins == ["ann"]
    assert caught.value.code == "AF366"
    assert caught.value.info().is_final
    assert "s3cret" not in f"{caught.value.info()}"


async def test_a_login_that_is_not_offered(tmp_path: Path) -> None:
    error = await failure(tmp_path, {**LOGIN, "auth": "xoauth2", "starttls": False}, tls="starttls")

    assert error.code == "AF366"
    assert "offers no login by xoauth2: none" in error.message


async def test_a_login_that_is_needed(tmp_path: Path) -> None:
    error = await failure(tmp_path, {}, users={"ann": "s3cret"})

    assert "refuses the sender ops@example.org: 530 5.7.0 Authentication required" in error.message


async def test_an_unknown_authority(tmp_path: Path) -> None:
    error = await failure(tmp_path, {"ca": None})

    assert (error.code, error.info().is_final) == ("AF367", True)
    assert "the certificate of 127.0.0.1" in error.message
    assert "unable to get local issuer certificate" in error.message


async def test_an_expired_certificate(tmp_path: Path) -> None:
    error = await failure(tmp_path, {}, not_after=datetime.now(UTC) - timedelta(days=1))

    assert error.code == "AF367"
    assert "certificate has expired" in error.message


async def test_a_certificate_of_another_name(tmp_path: Path) -> None:
    error = await failure(
        tmp_path, {"host": "127.0.0.2", "tls": True, "starttls": None}, tls="implicit", host="127.0.0.2"
    )

    assert error.code == "AF367"
    assert "IP address mismatch" in error.message


async def test_a_server_without_starttls_gets_nothing(tmp_path: Path) -> None:
    error = await failure(tmp_path, LOGIN, tls="none", users={"ann": "s3cret"})

    assert error.code == "AF367"
    assert "offers no STARTTLS" in error.message


async def test_tls_on_a_port_that_begins_without_it(tmp_path: Path) -> None:
    error = await failure(tmp_path, {"tls": True, "starttls": None})

    assert error.code == "AF367"
    assert "begins no TLS" in error.message
    assert "starttls: true" in error.hint


async def test_a_port_that_begins_with_tls_is_waited_for_and_explained(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, tls="implicit") as server:
        connector = await open_mail(server, timeout=0.2)
        with pytest.raises(StepError, match=r"does not answer within 0\.2 s") as caught:
            await MailRun(tmp_path, connector).send()

    assert caught.value.kind == "connection"
    assert "465 needs tls: true" in caught.value.hint


async def test_nobody_listens(tmp_path: Path) -> None:
    with silent_port() as port:
        error = await failure(tmp_path, {"port": port})

    assert (error.code, error.kind) == ("AF365", "connection")
    assert (
        error.message
        == (f"resource 'post': the connection to 127.0.0.1:{port} is refused or was lost: Connection refused")
        or "Connect call failed" in error.message
    )


async def test_a_name_that_is_not_known(tmp_path: Path) -> None:
    error = await failure(tmp_path, {"host": "mail.invalid"})

    assert (error.code, error.kind) == ("AF365", "connection")
    assert "the name of mail.invalid" in error.message


async def test_something_that_speaks_no_smtp(tmp_path: Path) -> None:
    def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as web:
        error = await failure(tmp_path, {"port": web.sockets[0].getsockname()[1]})

    assert error.code == "AF365"
    assert "HTTP/1.1 400" in error.message


async def test_a_mail_that_is_too_large_for_the_server_is_not_begun(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, size_limit=10_000) as server:
        run = MailRun(tmp_path, await open_mail(server))
        (run.artifacts / "a.bin").write_bytes(b"x" * 10_000)
        with pytest.raises(
            StepError, match=r"the mail has 1\d,\d{3} bytes, and .* takes at most 10,000"
        ) as caught:
            await run.send(attachments="a.bin")

    assert (caught.value.code, caught.value.info().is_final) == ("AF369", True)
    assert server.commands == ["EHLO", "EHLO"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tls": True}, "has tls and starttls"),
        ({"auth": "xoauth2"}, "needs username and password"),
        ({"ca": "/missing.pem"}, "/missing.pem cannot be used as ca: No such file"),
        ({"from_addr": None}, "has no from_addr"),
        ({"from_addr": None, "user": "AKIA"}, "its username is no address"),
        ({"hots": "x"}, "unknown field `hots`"),
        ({"port": 0}, ">= 1"),
    ],
)
async def test_settings_that_do_not_go_together(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    async with smtp_server(tmp_path) as server:
        with pytest.raises((StepError, ConfigError), match=message):
            await MailRun(tmp_path, await open_mail(server, config)).send()

    assert server.connections == 0


async def test_the_defaults_follow_the_port_and_the_username_may_be_the_sender(tmp_path: Path) -> None:
    async with smtp_server(tmp_path) as server:
        found = []
        for port in (587, 465, 25):
            connector = await open_mail(
                server, {"port": port, "starttls": None, "from_addr": None, "user": "ann@b.org"}
            )
            found.append((port, connector.config.uses_tls, connector.config.uses_starttls))
        assert connector.sender(None).spec == "ann@b.org"

    assert found == [(587, False, True), (465, True, False), (25, False, False)]


async def test_doctor_sees_certificate_login_and_size(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(days=3, hours=1)
    async with smtp_server(tmp_path, users={"ann": "s3cret"}, not_after=soon, size_limit=1_000_000) as server:
        checks = await (await open_mail(server, LOGIN)).check()
        plain = await (await open_mail(server, {"starttls": False})).check()

    assert [(one.subject, one.state) for one in checks] == [
        ("connection", "ok"),
        ("certificate", "warning"),
        ("login", "ok"),
        ("sender", "ok"),
        ("size", "ok"),
    ]
    assert "3 more days" in checks[1].message
    assert checks[4].message == "mails up to 1,000,000 bytes"
    assert (plain[1].subject, plain[1].state) == ("encryption", "warning")
    assert server.mails == []
