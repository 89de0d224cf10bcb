"""The settings of a mail server: `config` and `options` of the resource."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aetherflow import Duration

SUBMISSION, SUBMISSION_TLS = 587, 465
Text = Annotated[str, Meta(min_length=1)]


class SmtpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the mail server is, and who sends.

    Attributes:
        host: its name, which its certificate must have.
        port: 587 begins in plain text and switches to TLS; 465 begins with TLS; 25 is for relays.
        username: for the login; without it there is none.
        user: another name of `username`.
        password: the password, or the access token for `auth: xoauth2`.
        starttls: switch to TLS before anything else; default: true on port 587.
        tls: TLS from the first byte on; default: true on port 465.
        from_addr: the sender, `a@b.org` or `Name <a@b.org>`; default: the username.
        auth: password, or xoauth2 for an access token.
        ca: a file with the certificate authority of the server; default: those of the machine.
    """

    host: Text
    port: Annotated[int, Meta(ge=1, le=65535)] = SUBMISSION
    username: str | None = None
    user: str | None = None
    password: str | None = None
    starttls: bool | None = None
    tls: bool | None = None
    from_addr: str | None = None
    auth: Literal["password", "xoauth2"] = "password"
    ca: str | None = None

    @property
    def login(self) -> str:
        """The name for the login; empty: none."""
        return self.username or self.user or ""

    @property
    def has_login(self) -> bool:
        """Whether there is a login: with username and password only."""
        return bool(self.login and self.password)

    @property
    def exposes_password(self) -> bool:
        """Whether the password goes over a network that is not this machine's own, unencrypted."""
        is_safe = self.uses_tls or self.uses_starttls or _is_this_machine(self.host)
        return self.has_login and not is_safe

    @property
    def uses_tls(self) -> bool:
        """Whether the connection begins with TLS."""
        return self.port == SUBMISSION_TLS and not self.starttls if self.tls is None else self.tls

    @property
    def uses_starttls(self) -> bool:
        """Whether it switches to TLS."""
        return self.port == SUBMISSION and not self.uses_tls if self.starttls is None else self.starttls


class SmtpRetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the connector repeats itself: what the server refuses for now (4xx), and connections.

    Attributes:
        max_attempts: the first one included.
        backoff_seconds: the wait before the second attempt; it doubles for each further one.
    """

    max_attempts: Annotated[int, Meta(ge=1)] = 1
    backoff_seconds: Annotated[Duration, Meta(ge=0)] = 2


class SmtpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient the connector is.

    Attributes:
        timeout: for each answer of the server; the answer to the whole mail may take ten times as long.
        retry: attempts within one attempt of the step: {max_attempts, backoff_seconds}.
        max_connections: how many mails are sent at the same time.
    """

    timeout: Annotated[Duration, Meta(gt=0)] = 30
    retry: SmtpRetry = SmtpRetry()
    max_connections: Annotated[int, Meta(ge=1)] = 4


def _is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its name or address; DNS is not asked."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
