"""Send one mail over an open connection: envelope, content in pieces, and the server's answer."""

from __future__ import annotations

import base64
from io import FileIO
from typing import TYPE_CHECKING

import anyio
import msgspec

from aetherflow import FinalError, StepError, run_blocking
from aetherflow_mail.failures import Reply, answer_lost, connection_errors, error_of
from aetherflow_mail.mail import LINE_BYTES, AttachedFile, Composed

if TYPE_CHECKING:
    from aiosmtplib import SMTP
    from aiosmtplib.protocol import SMTPProtocol

READ_BYTES = LINE_BYTES * 1024
"""Bytes of a file in one piece: whole lines of base64, few enough to bound memory and for a slow network."""

PIECE_BYTES = 64 * 1024
"""Bytes that the network must take within the timeout."""

ANSWER_FACTOR = 10
"""How many times longer than usual the answer to the whole mail may take: servers scan it first, and a client
that gives up early makes duplicates (RFC 5321, 4.5.3.2.6)."""

ANSWER_GRACE_SECONDS = 5
"""How long a cancelled step waits for the answer to a mail that is sent already."""

START_INPUT, COMPLETED = 354, 250


class Server(msgspec.Struct, frozen=True):
    """Who a connection leads to, for messages.

    Attributes:
        resource: the name of the resource.
        place: host and port.
        timeout: seconds for each answer.
    """

    resource: str
    place: str
    timeout: float


class Envelope(msgspec.Struct, frozen=True):
    """The recipients that the server accepts for a mail, and those it refuses."""

    accepted: list[str]
    refused: dict[str, Reply]


async def open_envelope(client: SMTP, server: Server, mail: Composed, recipients: list[str]) -> Envelope:
    """Name sender and recipients to the server; the mail can be sent then, if somebody is accepted.

    Raises:
        StepError: the mail is larger than the server takes, it refuses the sender, or it cannot take an
            address with such characters (AF369); the connection was lost (AF365).
    """
    import aiosmtplib  # noqa: PLC0415 - an optional dependency

    options = _options(client, server, mail)
    encoding = "utf-8" if mail.needs_utf8 else "ascii"
    accepted: list[str] = []
    refused: dict[str, Reply] = {}
    with connection_errors(server.resource, server.place, server.timeout):
        try:
            await client.mail(mail.sender, options=options, encoding=encoding)
        except aiosmtplib.SMTPSenderRefused as error:
            raise error_of(
                Reply(error.code, error.message),
                f"{server.place} refuses the sender {mail.sender}",
                code="AF369",
                hint="check from_addr, and whether this login may send for it; some servers need a login",
            ) from error
        for address in recipients:
            try:
                await client.rcpt(address, encoding=encoding)
            except aiosmtplib.SMTPRecipientRefused as error:
                refused[address] = Reply(error.code, error.message)
            else:
                accepted.append(address)
    return Envelope(accepted, refused)


def server_limit(client: SMTP) -> int:
    """Return the largest mail that the server says it takes, in bytes; 0 if it says none."""
    words = client.esmtp_extensions.get("size", "").split()
    return int(words[0]) if words and words[0].isdecimal() else 0


def _options(client: SMTP, server: Server, mail: Composed) -> list[str]:
    options = []
    limit = server_limit(client)
    if limit and mail.size > limit:
        raise FinalError(
            f"the mail has {mail.size:,} bytes, and {server.place} takes at most {limit:,}",
            hint="pack the files, or upload them and send a link; base64 makes them a third larger",
            code="AF369",
        )
    if client.supports_extension("size"):
        options.append(f"SIZE={mail.size}")
    if mail.needs_utf8:
        if not client.supports_extension("smtputf8"):
            raise FinalError(
                f"{server.place} takes no addresses with characters beyond ASCII before the @",
                hint="use another address, or a server with SMTPUTF8",
                code="AF369",
            )
        options.append("SMTPUTF8")
    return options


async def send_content(client: SMTP, server: Server, mail: Composed) -> Reply:
    """Send the content and return the answer by which the server takes it.

    If the step is cancelled when the whole mail is sent already, it waits a moment for the answer.

    Raises:
        AnswerLost: the connection was lost after the end of the mail (AF374).
        StepError: the server has not taken the mail: it refuses it (AF369), the connection was lost before
            the end (AF365), or a file changed (AF371).
    """
    with connection_errors(server.resource, server.place, server.timeout):
        answer = Reply(*await client.execute_command(b"DATA"))
        protocol = client.protocol
        if answer.number != START_INPUT or protocol is None:
            raise _refused(server, answer)
        for piece in mail.pieces:
            if isinstance(piece, AttachedFile):
                await _send_file(protocol, piece, server.timeout)
            else:
                await _send_bytes(protocol, piece, server.timeout)
    answer = await _end(protocol, server, mail)
    if answer.number != COMPLETED:
        raise _refused(server, answer)
    return answer


def _refused(server: Server, answer: Reply) -> StepError:
    return error_of(
        answer,
        f"{server.place} refuses the mail",
        code="AF369",
        hint="the answer says why; change the mail, or ask who runs the server",
    )


async def _end(protocol: SMTPProtocol, server: Server, mail: Composed) -> Reply:
    """Send the end of the mail and wait for the answer."""
    import aiosmtplib  # noqa: PLC0415 - an optional dependency

    try:
        # Nothing is awaited in between: the library drops an answer that it does not expect yet.
        protocol.write(b".\r\n")
        try:
            response = await protocol.read_response(server.timeout * ANSWER_FACTOR)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(ANSWER_GRACE_SECONDS, shield=True):
                response = await protocol.read_response(ANSWER_GRACE_SECONDS)
                return Reply(*response)
            raise
    except (aiosmtplib.SMTPException, OSError) as error:
        raise answer_lost(server.place, mail.message_id, error) from error
    return Reply(*response)


async def _send_bytes(protocol: SMTPProtocol, data: bytes, seconds: float) -> None:
    for start in range(0, len(data), PIECE_BYTES):
        protocol.write(data[start : start + PIECE_BYTES])
        with anyio.fail_after(seconds):
            # The library has no public way to wait until the network has taken what was written.
            await protocol._drain_helper()  # noqa: SLF001 - see above


async def _send_file(protocol: SMTPProtocol, file: AttachedFile, seconds: float) -> None:
    """Send a file as lines of base64, without the last line end.

    Raises:
        StepError: it cannot be read, or has not the size any more that it had (AF371).
    """
    source = await run_blocking(_opened, file)
    try:
        sent, lead = 0, b""
        while chunk := await run_blocking(_read, source, file):
            sent += len(chunk)
            if sent > file.size:
                break
            await _send_bytes(protocol, lead + _lines(chunk), seconds)
            lead = b"\r\n"
    finally:
        source.close()
    if sent != file.size:
        raise StepError(
            f"the attachment {file.path} changed while it was sent",
            hint="attach a file that is complete",
            code="AF371",
        )


def _lines(chunk: bytes) -> bytes:
    return base64.encodebytes(chunk).replace(b"\n", b"\r\n")[:-2]


def _opened(file: AttachedFile) -> FileIO:
    try:
        return file.path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(file, error) from error


def _read(source: FileIO, file: AttachedFile) -> bytes:
    """Return the next piece; only the last one is shorter, or base64 would end in the middle."""
    data = b""
    try:
        while len(data) < READ_BYTES and (more := source.read(READ_BYTES - len(data))):
            data += more
    except OSError as error:
        raise unreadable(file, error) from error
    return data


def unreadable(file: AttachedFile, error: OSError) -> StepError:
    """Return the error for an attachment that cannot be read."""
    return StepError(
        f"cannot read the attachment {file.path}: {error.strerror or error}",
        hint="check the path and the permissions",
        code="AF371",
    )
