"""Explain what goes wrong with mail to the person on call: what happened, where, and what to do.

AF365 the server cannot be reached, AF366 it refuses the login, AF367 no secure connection, AF368 it refuses
recipients, AF369 it refuses the mail, AF370 an address or a header is wrong, AF371 an attachment is missing
or too large, AF372 the settings do not go together, AF373 the resource is no mail server, AF374 nobody knows
whether the server took the mail.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from aetherflow import FinalError, StepError

SHOWN_REPLY = 300
"""How many characters of a server's answer are shown."""

PERMANENT = 500
"""The first number by which a server says: do not try this again."""


class AnswerLost(StepError):
    """The whole mail was sent, and the connection ended before the server answered.

    Attributes:
        is_final: whether the flow forbids to send it a second time (`on_interrupt`).
    """

    default_code = "AF374"
    is_final = False

    def info(self) -> Any:
        """Return the error as data."""
        return msgspec.structs.replace(super().info(), is_final=self.is_final)


class Reply(msgspec.Struct, frozen=True):
    """An answer of the server: its number, such as 250, and its text."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.number} {' '.join(self.text.split())}"[:SHOWN_REPLY].strip()

    @property
    def is_temporary(self) -> bool:
        """Whether a later attempt may succeed; an answer that is no SMTP counts as that too."""
        return self.number < PERMANENT


def error_of(reply: Reply, message: str, *, code: str, hint: str, later: str = "") -> StepError:
    """Return the error for a refusal: 4xx is of kind "connection" and may be retried, 5xx is final.

    Args:
        reply: what the server answered.
        message: what it refused.
        code: the code of the error.
        hint: what to do if the refusal is final.
        later: what to do if it is temporary.
    """
    text = f"{message}: {reply}"
    if reply.is_temporary:
        hint = later or "try later: retry: {max_attempts: 5, backoff_seconds: 60}"
        return StepError(text, hint=hint, code=code, kind="connection")
    return FinalError(text, hint=hint, code=code)


@contextmanager
def connection_errors(resource: str, server: str, timeout: float) -> Iterator[None]:
    """Raise errors of the network, of TLS and of SMTP as a StepError that names resource and server.

    Raises:
        StepError: see the codes above.
    """
    import aiosmtplib  # noqa: PLC0415 - an optional dependency

    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        raise error_of(
            Reply(error.code, error.message),
            f"resource {resource!r}: {server} refuses the connection",
            code="AF365",
            hint="check host and port, and whether the server accepts this machine",
        ) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise _broken(resource, server, timeout, cause) from error


def _broken(resource: str, server: str, timeout: float, error: BaseException) -> StepError:
    """Return the error for a connection that was not made, or was lost."""
    import ssl  # noqa: PLC0415 - checking a flow needs no TLS

    about = f"resource {resource!r}: "
    match error:
        case ssl.SSLCertVerificationError():
            reason = error.verify_message.removesuffix(".") or str(error)
            hint = "use the name that the certificate has, renew it, or name its authority: config.ca"
            message = f"{about}the certificate of {server} cannot be verified: {reason}"
            return FinalError(message, hint=hint, code="AF367")
        case ssl.SSLError():
            hint = "tls: true is for ports that begin with TLS (465), starttls: true for the others (587, 25)"
            message = f"{about}{server} begins no TLS: {error.reason or error}"
            return FinalError(message, hint=hint, code="AF367")
        case socket.gaierror():
            message, hint = f"{about}the name of {server} is not known: {error.strerror}", "check config.host"
        case TimeoutError():
            message = f"{about}{server} does not answer within {timeout:g} s"
            hint = "check host and port (465 needs tls: true), or raise options.timeout"
        case ConnectionError():
            message = f"{about}the connection to {server} is refused or was lost: {_words(error)}"
            hint = "check host, port and firewall; a server may also end connections when it is busy"
        case OSError():
            message, hint = f"{about}{server} cannot be reached: {_words(error)}", "check host and port"
        case _:
            message, hint = f"{about}{server}: {error}", "check the settings of the resource"
    return StepError(message, hint=hint, code="AF365", kind="connection")


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def refused_recipients(server: str, refused: dict[str, Reply], delivered: Sequence[str]) -> StepError:
    """Return the error that names who was refused, and who got the mail."""
    named = "; ".join(f"{address} ({reply})" for address, reply in refused.items())
    got = f"; the mail was sent to {', '.join(delivered)}" if delivered else "; nobody got the mail"
    message = f"{server} refuses {len(refused)} of {len(refused) + len(delivered)} recipients: {named}{got}"
    detail = {"refused": {key: str(reply) for key, reply in refused.items()}, "delivered": list(delivered)}
    if any(reply.is_temporary for reply in refused.values()):
        hint = "a later attempt sends to those only: retry: {max_attempts: 5, backoff_seconds: 300}"
        return StepError(message, hint=hint, code="AF368", kind="connection", detail=detail)
    hint = "when these can get mail, resume the run: it sends to them only; correct addresses in a new run"
    return FinalError(message, hint=hint, code="AF368", detail=detail)


def answer_lost(server: str, message_id: str, error: BaseException) -> AnswerLost:
    """Return the error for a mail that the server may have taken, or not."""
    return AnswerLost(
        f"the connection to {server} was lost before it answered whether it takes the mail {message_id}: "
        f"{_words(error.__cause__ or error)}",
        hint="it may have been sent; another attempt sends it again, with the same Message-ID",
        kind="connection",
    )
