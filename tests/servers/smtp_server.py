"""A mail server for tests, on loopback in the loop of the test: aiosmtpd with TLS, logins, planned failures.

async with smtp_server(tmp_path, users={"ann": "secret"}) as server:
    server.plan("RCPT", "451 4.7.1 greylisted", times=2)
    ...                                   # send to 127.0.0.1, port server.port, ca server.ca_file
    assert server.mails[0].message["Subject"] == "Hello"
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Literal

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Stage = Literal["EHLO", "MAIL", "RCPT", "DATA"]
"""Where the server does what a test has planned; DATA is after the content, instead of the answer to it."""

Tls = Literal["starttls", "implicit", "none"]

DROP = "drop"
"""Instead of an answer: end the connection."""
HANG = "hang"
"""Instead of an answer: say nothing more."""


@dataclass(frozen=True)
class ReceivedMail:
    """A mail that the server has taken."""

    sender: str
    recipients: list[str]
    content: bytes
    options: list[str]

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class _Planned:
    """An answer that is given a few times."""

    answer: str
    times: int
    recipient: str


@dataclass
class MailServer:
    """A server that runs.

    Attributes:
        users: passwords by name; with some, a login is needed. For XOAUTH2 they are the tokens.
        mails: what it has taken, in order.
        commands: the stages that were reached, in order.
        logins: the names that tried to log in, in order.
        connections: how many connections there were.
        at_end: called when the content of a mail has arrived, before the answer.
    """

    ca_file: Path
    users: Mapping[str, str]
    port: int = 0
    mails: list[ReceivedMail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    connections: int = 0
    at_end: Callable[[], Awaitable[None]] | None = None
    _planned: dict[Stage, list[_Planned]] = field(default_factory=dict)

    def plan(self, stage: Stage, answer: str, *, times: int = 1, recipient: str = "") -> None:
        """Answer at a stage like this, the next few times; at RCPT perhaps for one recipient only."""
        self._planned.setdefault(stage, []).append(_Planned(answer, times, recipient))

    async def at(self, stage: Stage, server: SMTP, recipient: str = "") -> str | None:
        """Do what is planned for a stage; return the answer, or None for the usual one."""
        self.commands.append(stage)
        for planned in self._planned.get(stage, []):
            if planned.times and planned.recipient in {"", recipient}:
                planned.times -= 1
                if planned.answer == DROP:
                    _abort(server)
                if planned.answer in {DROP, HANG}:
                    await asyncio.sleep(60)
                return planned.answer
        return None


def _abort(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()


class _Handler:
    """The hooks that aiosmtpd calls."""

    def __init__(self, state: MailServer) -> None:
        self._state = state

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        answer = await self._state.at("EHLO", server)
        return [answer] if answer else responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._state.at("MAIL", server):
            return answer
        if self._state.users and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if answer := await self._state.at("RCPT", server, address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        answer = await self._state.at("DATA", server)
        if self._state.at_end is not None:
            await self._state.at_end()
        if answer is None:
            mail = ReceivedMail(
                str(envelope.mail_from), list(envelope.rcpt_tos), content, list(envelope.mail_options)
            )
            self._state.mails.append(mail)
        return answer or "250 OK queued as 1"

    async def auth_XOAUTH2(self, _server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - as above
        user, token, *_ = b64decode(args[1]).decode().split("\x01")
        name = user.removeprefix("user=")
        self._state.logins.append(name)
        is_right = self._state.users.get(name) == token.removeprefix("auth=Bearer ")
        return AuthResult(success=is_right, handled=False)

    def authenticate(
        self, _s: SMTP, _session: Session, _e: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """Check a password."""
        if mechanism not in {"PLAIN", "LOGIN"} or not isinstance(data, LoginPassword):
            return AuthResult(success=False)
        name = data.login.decode()
        self._state.logins.append(name)
        return AuthResult(success=self._state.users.get(name) == data.password.decode(), handled=False)


@asynccontextmanager
async def smtp_server(
    folder: Path,
    *,
    tls: Tls = "starttls",
    users: Mapping[str, str] | None = None,
    size_limit: int = 33554432,
    smtputf8: bool = True,
    not_after: datetime | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[MailServer]:
    """Serve mail on a free port of 127.0.0.1; its certificate is for that address and `localhost`.

    Args:
        folder: where the file of the certificate authority is written.
        tls: whether it begins with TLS, switches to it, or has none.
        users: names and passwords; with some, a login is needed.
        size_limit: the largest mail that it takes, in bytes.
        smtputf8: whether it takes addresses beyond ASCII.
        not_after: when its certificate ends.
        host: where it listens.
    """
    authority = trustme.CA()
    ca_file = folder / "mail-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    certificate = authority.issue_cert("localhost", "127.0.0.1", not_after=not_after)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    state = MailServer(ca_file, users or {})
    handler = _Handler(state)
    open_now: list[SMTP] = []

    def accept() -> SMTP:
        state.connections += 1
        protocol = SMTP(
            handler,
            hostname="mail.test",
            data_size_limit=size_limit,
            enable_SMTPUTF8=smtputf8,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            auth_require_tls=tls == "starttls",
            authenticator=handler.authenticate,
        )
        open_now.append(protocol)
        return protocol

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, host, 0, ssl=context if tls == "implicit" else None)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for protocol in open_now:
            _abort(protocol)
        await asyncio.sleep(0)
