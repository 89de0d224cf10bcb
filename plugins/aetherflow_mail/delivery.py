"""Deliver a mail to all its recipients, each once, whatever earlier attempts have delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio

from aetherflow import StepError
from aetherflow_mail.failures import AnswerLost, error_of, refused_recipients
from aetherflow_mail.message import Composed
from aetherflow_mail.transaction import COMPLETED, open_envelope, send_content

if TYPE_CHECKING:
    from aetherflow_mail.smtp_connector import SmtpConnector

Detail = Mapping[str, Any]


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
    left = list(mail.recipients)
    number = attempt = 1
    while left:
        earlier = record(number, {})
        if earlier.done:
            got = set(earlier.result.get("delivered", ()))
            left = [address for address in left if stored(address) not in got]
            number += 1
            continue
        try:
            await _transmit(connector, mail, left, record, number)
        except AnswerLost:
            raise  # it may have been sent: the retry of the step decides
        except StepError as error:
            if error.kind != "connection" or attempt >= retry.max_attempts:
                raise
            wait = retry.backoff_seconds * 2.0 ** (attempt - 1)
            say(f"attempt {attempt} of {retry.max_attempts}: {error.message}; the next one in {wait:g} s")
            await sleep(wait)
            attempt += 1
        else:
            return


async def _transmit(
    connector: SmtpConnector,
    mail: Composed,
    recipients: list[str],
    record: Callable[[int, Detail], Recorded],
    number: int,
) -> None:
    """Send the mail to these recipients in one transaction.

    Raises:
        StepError: not all of them got it.
    """
    place = connector.server.place
    async with connector.session() as client:
        envelope = await open_envelope(client, connector.server, mail, recipients)
        if not envelope.accepted:
            raise refused_recipients(place, envelope.refused, _others(mail, recipients))
        detail = {"message_id": mail.message_id, "server": place, "to": envelope.accepted}
        async with record(number, detail) as transmission:
            answer = await send_content(client, connector.server, mail)
            is_taken = answer.number == COMPLETED
            # What was refused for sure is recorded as well: then a record without an end means «perhaps».
            delivered = envelope.accepted if is_taken else []
            transmission.result = {"delivered": delivered, "answer": str(answer)}
    if not is_taken:
        raise error_of(
            answer,
            f"{place} refuses the mail",
            code="AF369",
            hint="the answer says why; change the mail or ask its admin",
        )
    if envelope.refused:
        raise refused_recipients(place, envelope.refused, [*_others(mail, recipients), *delivered])


def _others(mail: Composed, recipients: list[str]) -> list[str]:
    """Return the recipients that got the mail before."""
    return [address for address in mail.recipients if address not in recipients]
