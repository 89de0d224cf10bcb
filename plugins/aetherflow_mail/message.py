"""Compose a mail as the bytes that are sent; attached files stay files, to be read while they are sent."""

from __future__ import annotations

import base64
import mimetypes
import re
import secrets
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from aetherflow_mail.addresses import MailAddress
from aetherflow_mail.html_text import text_of_html
from aetherflow_mail.mail import AttachedFile, Composed, Mail, encoded_size

_DOT = re.compile(rb"(?m)^\.")


def compose(mail: Mail) -> Composed:
    """Return the mail as it is sent; bcc is in no header."""
    message = _headers(mail)
    message.set_content(_clean(mail.text or (text_of_html(mail.html) if mail.html else "")))
    if mail.html:
        message.add_alternative(_clean(mail.html), subtype="html")
    holders: dict[bytes, AttachedFile] = {}
    for file in mail.files:
        holder = secrets.token_bytes(24)
        holders[base64.b64encode(holder)] = file
        _attach(message, file, holder)
    raw = message.as_bytes()
    pieces = _split(_DOT.sub(b"..", raw), holders)
    size = len(raw) + sum(encoded_size(file.size) - len(holder) for holder, file in holders.items())
    return Composed(mail.sender.spec, mail.recipients, mail.message_id, pieces, size, mail.needs_utf8)


def _headers(mail: Mail) -> EmailMessage:
    policy = SMTPUTF8 if mail.needs_utf8 else SMTP
    message = EmailMessage(policy=policy.clone(cte_type="7bit"))
    message["From"] = _address(mail.sender)
    named = {"To": mail.to, "Cc": mail.cc, "Reply-To": mail.reply_to}
    for header, addresses in named.items():
        if addresses:
            message[header] = [_address(one) for one in addresses]
    if not mail.to and not mail.cc:
        message["To"] = "undisclosed-recipients:;"
    message["Subject"] = _clean(mail.subject)
    message["Date"] = mail.date
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's out-of-office note answers
    return message


def _address(one: MailAddress) -> Address:
    return Address(_clean(one.name), one.local, one.domain)


def _attach(message: EmailMessage, file: AttachedFile, holder: bytes) -> None:
    """Add a file whose content is a holder for now, which is replaced while the mail is sent."""
    kind, encoding = mimetypes.guess_type(file.name)
    if encoding:
        kind = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(encoding)
    if not kind or kind.startswith(("message/", "multipart/")):  # which must not be base64
        kind = "application/octet-stream"
    maintype, _, subtype = kind.partition("/")
    name = _clean(file.name)
    if not file.cid:
        message.add_attachment(holder, maintype=maintype, subtype=subtype, filename=name)
        return
    html = message.get_body(("html",))
    if not isinstance(html, EmailMessage):  # mail_send refuses images without HTML
        raise TypeError("an inline image needs an HTML text")
    cid = f"<{file.cid}>"
    html.add_related(holder, maintype, subtype, cid=cid, filename=name, disposition="inline")


def _split(raw: bytes, holders: dict[bytes, AttachedFile]) -> list[bytes | AttachedFile]:
    """Split the mail at its holders, in the order in which they are in it."""
    if not holders:
        return [raw]
    parts = re.split(b"(" + b"|".join(map(re.escape, holders)) + b")", raw)
    return [holders.get(part, part) for part in parts if part]


def _clean(text: str) -> str:
    """Return a text without halves of characters, which file names on Linux may have."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
