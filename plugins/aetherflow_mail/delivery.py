"""Deliver a mail to all its recipients, each once, whatever earlier attempts have delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio
import msgspec

from aetherflow import NOT_DONE, StepError
from aetherflow_mail.failures import AnswerLost, Reply, refused_recipients
from aetherflow_mail.mail import Composed
from aetherflow_mail.transaction import Server, open_envelope, send_content

if TYPE_CHECKING:
    from aiosmtplib import SMTP

    from aetherflow_mail.smtp_connector import SmtpConnector

Detail = Mapping[str, Any]

TOO_MANY = 452
"""The answer to one recipient too many: the others want a mail of their own (RFC 5321, 4.5.3.1.10)."""


class Recorded(Protocol):
    """One transmission: known before it begins, and stored when it has ended; as `aetherflow.Effect`."""

    done: bool
    result: dict[str, Any]

    async def __aenter__(self) -> Self:
        """Store the intent."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the result."""
        ...


class Unrecorded:
    """A transmission that nothing remembers: that of a plugin."""

    def __init__(self, _number: int, _detail: Detail) -> None:
        self.done = False
        self.result: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


def _unchanged(text: str) -> str:
    return text


async def deliver(
    connector: SmtpConnector,
    mail: Composed,
    *,
    record: Callable[[int, Detail], Recorded],
    stored: Callable[[str], str] = _unchanged,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Send a mail, and repeat what the options of the connector allow.

    Args:
        connector: the server.
        mail: what to send.
        record: returns the record of the transmission of a number, counted from 1.
        stored: returns an address as records have it; secrets are masked there.
        sleep: waits between two attempts.
        say: writes a line to the log.

    Raises:
        StepError: not everybody got it; the message says who did, and another attempt sends to the others.
    """
    retry = connector.options.retry
    left, number, attempt = list(mail.recipients), 1, 1
    while left:
        earlier = record(number, {})
        if earlier.done:
            got = set(earlier.result.get("delivered", ()))
            left = [address for address in left if stored(address) not in got]
            number += 1
            continue
        sent = await _transmit(connector, mail, left, record, number)
        left = [address for address in left if address not in sent.delivered]
        number += sent.is_recorded
        if sent.failure is None or (sent.delivered and sent.was_too_many):
            continue
        if sent.failure.kind != "connection" or attempt >= retry.max_attempts:
            raise sent.failure
        wait = retry.backoff_seconds * 2.0 ** (attempt - 1)
        say(f"attempt {attempt} of {retry.max_attempts}: {sent.failure.message}; the next one in {wait:g} s")
        await sleep(wait)
        attempt += 1


class _Sent(msgspec.Struct, frozen=True):
    """The outcome of one transmission.

    Attributes:
        delivered: who got the mail.
        failure: why not everybody got it; None if they did.
        is_recorded: whether it came so far that there is a record of it.
        was_too_many: whether the server only wants the others in a transmission of their own.
    """

    delivered: list[str] = []
    failure: StepError | None = None
    is_recorded: bool = False
    was_too_many: bool = False


async def _transmit(
    connector: SmtpConnector,
    mail: Composed,
    recipients: list[str],
    record: Callable[[int, Detail], Recorded],
    number: int,
) -> _Sent:
    """Send the mail to these recipients in one transaction, over a connection of its own.

    Raises:
        AnswerLost: nobody knows whether the server took it; the retry of the step decides what follows.
    """
    place = connector.server.place
    try:
        async with connector.session() as client:
            envelope = await open_envelope(client, connector.server, mail, recipients)
            others = [address for address in mail.recipients if address not in recipients]
            if not envelope.accepted:
                return _Sent(failure=refused_recipients(place, envelope.refused, others))
            detail = {"message_id": mail.message_id, "server": place, "to": envelope.accepted}
            async with record(number, detail) as transmission:
                # What failed for sure is recorded as well: then a record without an end means «perhaps».
                answer = await _answer(client, connector.server, mail)
                delivered = envelope.accepted if isinstance(answer, Reply) else []
                refusal = {} if delivered else {NOT_DONE: str(answer)}
                transmission.result = {"delivered": delivered, "answer": str(answer), **refusal}
    except AnswerLost:
        raise
    except StepError as error:
        return _Sent(failure=error)
    if isinstance(answer, StepError):
        return _Sent(failure=answer, is_recorded=True)
    if not envelope.refused:
        return _Sent(delivered, is_recorded=True)
    failure = refused_recipients(place, envelope.refused, [*others, *delivered])
    was_too_many = all(reply.number == TOO_MANY for reply in envelope.refused.values())
    return _Sent(delivered, failure, is_recorded=True, was_too_many=was_too_many)


async def _answer(client: SMTP, server: Server, mail: Composed) -> Reply | StepError:
    """Send the content; return the answer, or the error of a content that was certainly not taken."""
    try:
        return await send_content(client, server, mail)
    except AnswerLost:
        raise
    except StepError as error:
        return error
