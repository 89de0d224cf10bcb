"""The connector `mail:smtp`: a mail server, with checked certificates and a login."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anyio
import msgspec

from aetherflow import (
    CheckResult,
    Connector,
    FinalError,
    MissingExtra,
    Resource,
    StepError,
    connector,
    run_blocking,
)
from aetherflow_mail.addresses import MailAddress, one_line, read_addresses
from aetherflow_mail.delivery import Unrecorded, deliver
from aetherflow_mail.failures import connection_errors
from aetherflow_mail.login import log_in
from aetherflow_mail.mail import Mail
from aetherflow_mail.smtp_settings import SmtpConfig, SmtpOptions
from aetherflow_mail.transaction import Server, server_limit

if TYPE_CHECKING:
    import smtplib
    import ssl

    from aiosmtplib import SMTP

_ENCRYPT = "add starttls: true, or tls: true"

QUIT_SECONDS = 5
"""How long the server may take to say goodbye; the mail is sent by then."""

Recipients = str | Sequence[str]


@connector("mail:smtp")
class SmtpConnector(Connector):
    """Sends mail over SMTP; each mail has a connection of its own."""

    config_type: ClassVar[type[SmtpConfig]] = SmtpConfig
    options_type: ClassVar[type[SmtpOptions]] = SmtpOptions
    path_keys: ClassVar[tuple[str, ...]] = ("ca",)
    packages: ClassVar[tuple[str, ...]] = ("aiosmtplib",)

    def __init__(self, name: str, config: SmtpConfig, options: SmtpOptions, context: ssl.SSLContext) -> None:
        """Remember the resource, and how certificates are checked."""
        self.name = name
        self.config = config
        self.options = options
        self.server = Server(name, f"{config.host}:{config.port}", options.timeout)
        self.cautions = (
            (f"resource {name!r} sends its password to {config.host} unencrypted: {_ENCRYPT}",)
            if config.exposes_password
            else ()
        )
        self._context = context
        self._slots = anyio.CapacityLimiter(options.max_connections)

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the settings; each mail connects on its own.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: aiosmtplib is not installed.
            StepError: the settings do not go together (AF372).
        """
        config = resource.config_as(SmtpConfig)
        options = resource.options_as(SmtpOptions)
        try:
            import aiosmtplib  # noqa: F401, PLC0415 - an optional dependency
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"resource {resource.name!r} (mail:smtp) needs aiosmtplib, which is not installed",
                hint="pip install 'aetherflow[mail]'",
            ) from error
        if config.uses_tls and config.uses_starttls:
            raise FinalError(
                f"resource {resource.name!r} has tls and starttls, which exclude each other",
                hint="port 465: tls; port 587 and 25: starttls",
                code="AF372",
            )
        if config.auth == "xoauth2" and not config.has_login:
            raise FinalError(
                f"resource {resource.name!r} has auth: xoauth2, which needs username and password",
                hint="give the access token as password",
                code="AF372",
            )
        return cls(resource.name, config, options, await run_blocking(_context, resource.name, config))

    async def aclose(self) -> None:
        """Nothing is open between two mails."""

    def sender(self, from_addr: str | None) -> MailAddress:
        """Return who sends: the given address, else `from_addr` of the resource, else its username.

        Raises:
            StepError: none of them is one address (AF370, AF372).
        """
        text = from_addr or self.config.from_addr
        if not text and "@" in self.config.login:
            text = self.config.login
        if not text:
            raise FinalError(
                f"resource {self.name!r} has no from_addr, and its username is no address",
                hint="add from_addr to its config, or to the step",
                code="AF372",
            )
        found = read_addresses("from_addr", text)
        if len(found) != 1:
            raise FinalError(f"from_addr names {len(found)} addresses", hint="name one", code="AF370")
        return found[0]

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[SMTP]:
        """Connect, switch to TLS, log in, and give an `aiosmtplib.SMTP` to an `async with` block.

        Raises:
            StepError: the server cannot be reached (AF365), its certificate cannot be verified (AF367), or it
                refuses the login (AF366).
        """
        import aiosmtplib  # noqa: PLC0415 - an optional dependency

        async with self._slots:
            client = aiosmtplib.SMTP(
                hostname=self.config.host,
                port=self.config.port,
                use_tls=self.config.uses_tls,
                start_tls=False,
                tls_context=self._context,
                timeout=self.options.timeout,
                local_hostname="localhost",  # replaced below: the library would ask DNS for it
            )
            try:
                with connection_errors(self.name, self.server.place, self.options.timeout):
                    await self._connect(client)
                yield client
                with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                    await client.quit(timeout=min(QUIT_SECONDS, self.options.timeout))
            finally:
                _abort(client)

    async def _connect(self, client: SMTP) -> None:
        await client.connect()
        client.local_hostname = _own_name(client.get_transport_info("sockname"))
        await client.ehlo()
        if self.config.uses_starttls:
            if not client.supports_extension("starttls"):
                raise FinalError(
                    f"resource {self.name!r}: {self.server.place} offers no STARTTLS",
                    hint="port 465 needs tls: true; starttls: false sends everything unencrypted",
                    code="AF367",
                )
            await client.starttls()
            await client.ehlo()
        if self.config.has_login and self.config.password:
            await log_in(client, self.server, self.config.login, self.config.password, self.config.auth)

    async def check(self) -> list[CheckResult]:
        """Connect and log in without sending: TLS and the age of the certificate, login, size limit.

        Raises:
            StepError: as `session`.
        """
        from aetherflow import peer_certificate_check  # noqa: PLC0415 - imports TLS, see above

        async with self.session() as client:
            peer = client.get_transport_info("ssl_object")
            if peer is None:
                what = "nothing is encrypted" + ", the password included" * self.config.has_login
                secure = CheckResult("encryption", "warning", what, _ENCRYPT)
            else:
                secure = peer_certificate_check(peer)
            limit = server_limit(client)
            size = f"mails up to {limit:,} bytes" if limit else "the server names no limit"
            return [
                CheckResult("connection", "ok", f"{self.server.place} answers"),
                secure,
                CheckResult("login", "ok", f"as {self.config.login}" if self.config.has_login else "none"),
                self._sender_check(),
                CheckResult("size", "ok", size),
            ]

    def _sender_check(self) -> CheckResult:
        try:
            return CheckResult("sender", "ok", self.sender(None).spec)
        except StepError as error:
            return CheckResult("sender", "warning", error.message, error.hint)

    async def send_plaintext(
        self,
        *,
        to: Recipients,
        subject: str,
        body: str,
        from_addr: str | None = None,
        cc: Recipients | None = None,
        bcc: Recipients | None = None,
    ) -> None:
        """Send a text mail; for plugins. A step that a run may repeat sends with `mail_send`.

        Raises:
            StepError: as `mail_send`.
        """
        mail = self._mail(to, subject, from_addr, cc, bcc)
        await self._deliver(msgspec.structs.replace(mail, text=body))

    async def send_html(
        self,
        *,
        to: Recipients,
        subject: str,
        html: str,
        text: str | None = None,
        from_addr: str | None = None,
        cc: Recipients | None = None,
        bcc: Recipients | None = None,
    ) -> None:
        """Send an HTML mail with a text part, by default made from the HTML.

        Raises:
            StepError: as `mail_send`.
        """
        mail = self._mail(to, subject, from_addr, cc, bcc)
        await self._deliver(msgspec.structs.replace(mail, html=html, text=text or ""))

    def _mail(
        self,
        to: Recipients,
        subject: str,
        from_addr: str | None,
        cc: Recipients | None,
        bcc: Recipients | None,
    ) -> Mail:
        sender = self.sender(from_addr)
        return Mail(
            sender,
            read_addresses("to", to),
            one_line("the subject", subject),
            f"<{secrets.token_hex(16)}@{sender.domain}>",
            datetime.now(UTC),
            cc=read_addresses("cc", cc),
            bcc=read_addresses("bcc", bcc),
        )

    async def _deliver(self, mail: Mail) -> None:
        from aetherflow_mail.message import compose  # noqa: PLC0415 - the email package is slow to import

        await deliver(self, await run_blocking(compose, mail), record=Unrecorded)

    def client(self) -> smtplib.SMTP:
        """Return a connected `smtplib.SMTP`, as plugins of 0.0.x use it; blocking, and the caller ends it.

        Raises:
            OSError: it cannot connect; `smtplib.SMTPException` is one too.
        """
        import smtplib  # noqa: PLC0415 - for plugins of 0.0.x only

        config, timeout = self.config, self.options.timeout
        client = (
            smtplib.SMTP_SSL(config.host, config.port, timeout=timeout, context=self._context)
            if config.uses_tls
            else smtplib.SMTP(config.host, config.port, timeout=timeout)
        )
        try:
            if config.uses_starttls:
                client.starttls(context=self._context)
            if config.login and config.password and config.auth == "password":
                client.login(config.login, config.password)
        except BaseException:
            client.close()
            raise
        return client


def _context(resource: str, config: SmtpConfig) -> ssl.SSLContext:
    """Return how certificates are checked; blocking: it reads files.

    Raises:
        StepError: the file of `ca` cannot be used (AF372).
    """
    import ssl  # noqa: PLC0415 - checking a flow needs no TLS

    try:
        return ssl.create_default_context(cafile=config.ca)
    except OSError as error:  # ssl.SSLError is one
        raise StepError(
            f"resource {resource!r}: {config.ca} cannot be used as ca: {error.strerror or error}",
            hint="name a file with certificates in PEM form",
            code="AF372",
        ) from error


def _own_name(address: Any) -> str:
    """Return how this machine names itself: its full name, else its address; DNS is not asked."""
    name = socket.gethostname()
    if "." in name and name.isascii() and not any(char.isspace() for char in name):
        return name
    ip = str(address[0]) if isinstance(address, tuple) else "127.0.0.1"
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"


def _abort(client: SMTP) -> None:
    """End the connection at once, without waiting for what was not sent."""
    transport = client.transport
    client.close()
    if transport is not None:
        transport.abort()  # type: ignore[attr-defined]  # a transport of a stream has it
