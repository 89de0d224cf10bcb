"""Log in to a mail server, with one method and one attempt: wrong passwords can lock an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aetherflow import FinalError
from aetherflow_mail.failures import Reply, error_of
from aetherflow_mail.transaction import Server

if TYPE_CHECKING:
    from aiosmtplib import SMTP

NOT_OFFERED = frozenset({502, 504})
"""The answers to a method that the server lists and does not know; another method is tried then."""


async def log_in(
    client: SMTP, server: Server, username: str, password: str, auth: Literal["password", "xoauth2"]
) -> None:
    """Log in by the best method that the server offers.

    Raises:
        FinalError: it offers none, or refuses the login (AF366).
        StepError: it refuses it for now.
    """
    import aiosmtplib  # noqa: PLC0415 - an optional dependency

    methods = {
        "xoauth2": client.auth_xoauth2,
        "plain": client.auth_plain,
        "login": client.auth_login,
        "cram-md5": client.auth_crammd5,
    }
    is_encrypted = client.get_transport_info("sslcontext") is not None
    order = ["plain", "login", "cram-md5"] if is_encrypted else ["cram-md5", "plain", "login"]
    wanted = ["xoauth2"] if auth == "xoauth2" else order
    usable = [name for name in wanted if name in client.server_auth_methods]
    refused: Reply | None = None
    for name in usable:
        try:
            await methods[name](username, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            refused = Reply(error.code, error.message)
            if refused.number not in NOT_OFFERED:
                break
        else:
            return
    if refused is None:
        raise _none_offered(server, client.server_auth_methods, wanted)
    raise error_of(
        refused,
        f"resource {server.resource!r}: {server.place} refuses the login of {username!r}",
        code="AF366",
        hint="check username and password (some servers want one for apps); the account may be locked",
    )


def _none_offered(server: Server, offered: list[str], wanted: list[str]) -> FinalError:
    offers = f"only {', '.join(offered)}" if offered else "none"
    return FinalError(
        f"resource {server.resource!r}: {server.place} offers no login by {', '.join(wanted)}: {offers}",
        hint="many servers offer it after STARTTLS only (starttls: true); for a relay remove username",
        code="AF366",
    )
