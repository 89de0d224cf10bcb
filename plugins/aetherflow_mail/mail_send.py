"""The step `mail_send`: send a mail with text, HTML, attachments and images, to each recipient once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import FinalError, PathText, StepContext, parse_size, render_template, step
from aetherflow_mail.addresses import MailAddress, one_line, read_addresses, written_addresses
from aetherflow_mail.attachments import check_images, check_size, find_files
from aetherflow_mail.delivery import Recorded, deliver
from aetherflow_mail.failures import AnswerLost
from aetherflow_mail.mail import Composed, Mail
from aetherflow_mail.smtp_connector import SmtpConnector

Text = Annotated[str, Meta(min_length=1)]
MAX_SIZE = "25MB"
"""What many providers take."""

FilePath = Annotated[PathText, Meta(min_length=1)]


class MailSendInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `mail_send`.

    Attributes:
        resource: a resource of kind mail.
        to: who gets it: `a@b.org`, `Ann <a@b.org>`, several with commas, or a list.
        subject: one line.
        body: the text; with `html: true` the HTML text. A mapping or list is written as JSON.
        body_path: a template file with the text, instead of `body`.
        values: what `{{NAME}}` means in the file of `body_path`.
        html: whether the body is HTML.
        text: with HTML, what readers without it show; default: made from the HTML.
        cc: who gets a copy.
        bcc: who gets a copy that the others do not see.
        from_addr: the sender; default: that of the resource.
        reply_to: where answers go.
        attachments: paths and globs, relative to the job's artifacts.
        inline_images: `{logo: logo.png}` is shown by `<img src="cid:logo">`.
        max_size: how large the attachments may be in the mail, where a file is a third larger.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("body", "body_path"),)

    resource: Text
    to: str | list[str] | None
    subject: str
    body: str | dict[str, Any] | list[Any] | None = None
    body_path: FilePath | None = None
    values: dict[str, Any] | None = None
    html: bool | None = False
    text: str | None = None
    cc: str | list[str] | None = None
    bcc: str | list[str] | None = None
    from_addr: str | None = None
    reply_to: str | list[str] | None = None
    attachments: FilePath | list[FilePath] | None = None
    inline_images: dict[str, FilePath] | None = None
    max_size: int | str | None = MAX_SIZE

    def __post_init__(self) -> None:
        """Check `to` and `max_size`.

        Raises:
            ValueError: there is nobody in `to`, or `max_size` is no size.
        """
        if self.to is None:
            raise ValueError("to is null: name who gets the mail")
        parse_size(str(self.max_size or MAX_SIZE))


class MailSendOutput(msgspec.Struct, frozen=True):
    """The outputs of `mail_send`.

    Attributes:
        sent: always true; a mail that was not sent is an error.
        to: the addresses of `to`, as they are written.
        subject: the subject.
        html: whether the body was HTML.
        message_id: the Message-ID, the same in every attempt.
        recipients: everybody who got it, cc and bcc included.
        size: bytes of the whole mail.
    """

    sent: bool
    to: list[str]
    subject: str
    html: bool
    message_id: str
    recipients: list[str]
    size: int


@step("mail_send", visible={"subject": "mail subject"})
async def mail_send(ctx: StepContext, inputs: MailSendInput) -> MailSendOutput:
    """Send a mail; a retry or a resumed run sends only to those who have not got it.

    Raises:
        StepError: the mail cannot be composed, or not everybody got it; the message says who did.
    """
    connector = await mail_connector(ctx, inputs.resource)
    mail = await ctx.run_sync(_compose, ctx, connector, inputs)
    try:
        await deliver(
            connector,
            mail,
            record=partial(_record, ctx, mail),
            stored=ctx.redactor.text,
            sleep=ctx.clock.sleep,
            say=partial(ctx.log, level="warning"),
        )
    except AnswerLost as error:
        error.is_final = ctx.on_interrupt != "rerun"
        raise
    to = written_addresses("to", inputs.to)
    subject = one_line("the subject", inputs.subject)
    return MailSendOutput(
        True,
        to,
        subject,
        bool(inputs.html),
        mail.message_id,
        mail.recipients,
        mail.size,
    )


async def mail_connector(ctx: StepContext, resource: str) -> SmtpConnector:
    """Return the open connector of a mail resource.

    Raises:
        StepError: it cannot be opened, or is no mail server (AF373).
    """
    found = await ctx.connector(resource)
    if not isinstance(found, SmtpConnector):
        raise FinalError(
            f"resource {resource!r} is no mail server", hint="name a resource of kind mail", code="AF373"
        )
    return found


def _compose(ctx: StepContext, connector: SmtpConnector, inputs: MailSendInput) -> Composed:
    """Read and check everything that the mail consists of; blocking."""
    from aetherflow_mail.message import compose  # noqa: PLC0415 - the email package is slow to import

    sender = connector.sender(inputs.from_addr)
    body = _body(ctx, inputs)
    html = body if inputs.html else ""
    check_images(html, inputs.inline_images)
    files = find_files(ctx, inputs.attachments, inputs.inline_images)
    limit = str(inputs.max_size or MAX_SIZE)
    check_size(files, parse_size(limit), limit)
    mail = Mail(
        sender,
        read_addresses("to", inputs.to),
        one_line("the subject", inputs.subject),
        message_id(ctx, sender),
        ctx.clock.now(),
        cc=read_addresses("cc", inputs.cc),
        bcc=read_addresses("bcc", inputs.bcc),
        reply_to=read_addresses("reply_to", inputs.reply_to),
        text=(inputs.text or "") if inputs.html else body,
        html=html,
        files=files,
    )
    if not mail.recipients:
        raise FinalError(
            "the mail has no recipient: to, cc and bcc are empty", hint="give an address", code="AF370"
        )
    return compose(mail)


def _body(ctx: StepContext, inputs: MailSendInput) -> str:
    if (inputs.body is None) == (inputs.body_path is None):
        both = "both body and body_path" if inputs.body is not None else "neither body nor body_path"
        raise FinalError(f"the mail has {both}", hint="give one of them", code="AF372")
    if inputs.body_path is None:
        if inputs.values:
            raise FinalError("values are for body_path", hint="write the templates into body", code="AF372")
        if isinstance(inputs.body, dict | list):
            return json.dumps(inputs.body, ensure_ascii=False, indent=2)
        return inputs.body or ""
    path = ctx.path(inputs.body_path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise FinalError(
            f"cannot read the template {path}: {reason}",
            hint="for a file beside the flow write {{flow.dir}}/NAME; it must be UTF-8",
            code="AF371",
        ) from error
    return render_template(text, {**known_values(ctx), **(inputs.values or {})}, file=str(path))


def known_values(ctx: StepContext) -> dict[str, Any]:
    """Return what every template file sees, besides the `values` of its step."""
    place = ctx.flow_place
    return {
        "env": ctx.env,
        "flow": {"id": ctx.flow_id, "dir": place.directory, "file": place.file},
        "run": {"id": ctx.run_id, "date": ctx.run_date, "scheduled_at": ctx.scheduled_at},
        "run_id": ctx.run_id,
        "flow_id": ctx.flow_id,
    }


def message_id(ctx: StepContext, sender: MailAddress) -> str:
    """Return the Message-ID: the same in every attempt and resume, so that servers can drop a second mail."""
    digest = hashlib.sha256(f"{ctx.flow_id}/{ctx.idempotency_key}".encode()).hexdigest()[:32]
    domain = sender.domain if not sender.domain.startswith("[") else "aetherflow.invalid"
    return f"<{digest}@{domain}>"


def _record(ctx: StepContext, mail: Composed, number: int, detail: Mapping[str, Any]) -> Recorded:
    """Return the effect that records a transmission; an earlier one without an answer is logged."""

    async def unknown() -> None:
        # No mail server can be asked whether it took a mail.
        ctx.log(
            f"an earlier attempt ended before the server answered, so the mail may have been sent; it is "
            f"sent again, with the same Message-ID {mail.message_id}",
            "warning",
        )

    return ctx.effect("mail" if number == 1 else f"mail ({number})", verify=unknown, detail=detail)
