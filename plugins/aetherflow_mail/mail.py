"""A mail as data: what it consists of, and its form for the network."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from aetherflow_mail.addresses import MailAddress

LINE_BYTES = 57
"""Bytes of a file in one line of base64, which then has 76 characters."""


class AttachedFile(msgspec.Struct, frozen=True):
    """A file of the mail.

    Attributes:
        name: the name that the reader sees.
        size: bytes, when it was looked at; sending fails if it changes.
        cid: the name by which HTML shows it, as in `<img src="cid:logo">`; empty for an attachment.
    """

    path: Path
    name: str
    size: int
    cid: str = ""


class Mail(msgspec.Struct, frozen=True):
    """A mail before it is composed.

    Attributes:
        html: the HTML text; then `text` is what readers without HTML show, by default made from it.
        message_id: with its angle brackets.
    """

    sender: MailAddress
    to: list[MailAddress]
    subject: str
    message_id: str
    date: datetime
    cc: list[MailAddress] = []
    bcc: list[MailAddress] = []
    reply_to: list[MailAddress] = []
    text: str = ""
    html: str = ""
    files: list[AttachedFile] = []

    @property
    def recipients(self) -> list[str]:
        """Everybody who gets the mail, each once."""
        return list(dict.fromkeys(one.spec for one in (*self.to, *self.cc, *self.bcc)))

    @property
    def needs_utf8(self) -> bool:
        """Whether an address has characters beyond ASCII before the @."""
        shown = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return not all(one.local.isascii() for one in shown)


class Composed(msgspec.Struct, frozen=True):
    """A mail as it is sent.

    Attributes:
        pieces: bytes as they are sent (lines that begin with a dot have two), and files to be sent as base64.
        size: how many bytes the whole mail has, as servers count it.
        recipients: everybody who gets it.
        needs_utf8: whether it is only for servers that take addresses beyond ASCII.
    """

    sender: str
    recipients: list[str]
    message_id: str
    pieces: list[bytes | AttachedFile]
    size: int
    needs_utf8: bool


def encoded_size(size: int) -> int:
    """Return how many bytes a file has as base64 in lines, without the last line end."""
    lines = -(-size // LINE_BYTES)
    return 4 * -(-size // 3) + 2 * max(0, lines - 1)
