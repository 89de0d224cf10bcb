"""What mail_send puts into a mail: recipients, texts, files, templates; received by a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from aetherflow import AetherFlowError, StepError
from tests.plugins.mail_run import MailRun, open_mail
from tests.servers.smtp_server import MailServer, smtp_server

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def a_run(folder: Path, **server: Any) -> AsyncIterator[tuple[MailServer, MailRun]]:
    """Give a server, and a run that sends to it."""
    async with smtp_server(folder, **server) as running:
        yield running, MailRun(folder, await open_mail(running))


def part(message: EmailMessage, kind: str) -> str:
    """Return the text of a part of a mail."""
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


async def test_a_text_goes_to_everybody_and_bcc_is_in_no_header(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        outputs = await run.send(
            to="Ann <ann@example.org>, bob@example.org", cc=["cid@example.org"], bcc="eve@b.org"
        )

    (mail,) = server.mails
    assert mail.sender == "ops@example.org"
    assert mail.recipients == ["ann@example.org", "bob@example.org", "cid@example.org", "eve@b.org"]
    assert mail.message["To"] == "Ann <ann@example.org>, bob@example.org"
    assert (mail.message["Cc"], mail.message["Bcc"]) == ("cid@example.org", None)
    assert b"eve" not in mail.content
    assert part(mail.message, "plain") == "42 rows\n"
    assert outputs == {
        "sent": True,
        "to": ["Ann <ann@example.org>", "bob@example.org"],
        "subject": "Report",
        "html": False,
        "message_id": mail.message["Message-ID"],
        "recipients": mail.recipients,
        "size": len(mail.content),
    }


async def test_the_size_that_the_server_is_told_is_that_of_the_mail_with_its_files(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        for size in (0, 1, 57, 58, 57 * 4096, 57 * 4096 + 1, 700_001):
            (run.artifacts / f"{size}.bin").write_bytes(bytes(range(256)) * (size // 256 + 1))
            with (run.artifacts / f"{size}.bin").open("r+b") as file:
                file.truncate(size)
        outputs = await run.send(attachments="*.bin", body=".\n..\nFrom me\n" + "ä" * 2000)

    (mail,) = server.mails
    assert mail.options == [f"SIZE={len(mail.content)}"]
    assert outputs["size"] == len(mail.content)
    for attached in mail.message.iter_attachments():
        path = run.artifacts / str(attached.get_filename())
        assert attached.get_content() == path.read_bytes()
    assert len(list(mail.message.iter_attachments())) == 7
    assert part(mail.message, "plain") == ".\n..\nFrom me\n" + "ä" * 2000 + "\n"
    assert max(len(line) for line in mail.content.split(b"\r\n")) <= 998


async def test_names_subjects_and_files_may_have_any_characters(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        (run.artifacts / "Bericht für März 🎉.csv").write_text("a\n")
        (run.artifacts / "[1] 100%.csv").write_text("b\n")
        await run.send(
            to=['"Müller, Jörg" <j@bücher.example>', "王 <wang@example.org>"],
            subject="Grüße 🎉 " + "ä" * 200,
            body="Übermäßig 🎉",
            from_addr="Störung <ops@example.org>",
            reply_to="Rückfragen <help@example.org>",
            attachments=["Bericht*", "[1] 100%.csv"],
        )

    (mail,) = server.mails
    message = mail.message
    assert mail.recipients == ["j@xn--bcher-kva.example", "wang@example.org"]
    assert [one.display_name for one in message["To"].addresses] == ["Müller, Jörg", "王"]
    assert message["Subject"] == "Grüße 🎉 " + "ä" * 200
    assert message["From"].addresses[0].display_name == "Störung"
    assert message["Reply-To"].addresses[0].display_name == "Rückfragen"
    assert [one.get_filename() for one in message.iter_attachments()] == [
        "Bericht für März 🎉.csv",
        "[1] 100%.csv",
    ]
    assert part(message, "plain") == "Übermäßig 🎉\n"
    assert mail.content.isascii()


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        await run.send(to="Jörg <jörg@bücher.example>")
        assert server.mails[0].recipients == ["jörg@xn--bcher-kva.example"]
        assert "SMTPUTF8" in server.mails[0].options
        assert "jörg@xn--bcher-kva.example" in server.mails[0].content.decode()

    async with a_run(tmp_path, smtputf8=False) as (server, run):
        with pytest.raises(StepError, match="characters beyond ASCII before the @") as caught:
            await run.send(to="jörg@bücher.example")
        assert caught.value.info().is_final
        assert server.mails == []


async def test_html_has_a_text_part_and_shows_images(tmp_path: Path) -> None:
    html = '<h1>Report</h1><p>42 &amp; more: <a href="https://x.org/r">all</a></p><img src="cid:logo">'
    async with a_run(tmp_path) as (server, run):
        (run.artifacts / "logo.png").write_bytes(b"\x89PNG")
        (run.artifacts / "all.csv").write_text("a\n")
        await run.send(body=html, html=True, inline_images={"logo": "logo.png"}, attachments="all.csv")

    message = server.mails[0].message
    assert part(message, "html") == html + "\n"
    assert part(message, "plain") == "Report\n\n42 & more: all (https://x.org/r)\n"
    image = next(one for one in message.walk() if one.get_content_type() == "image/png")
    assert image["Content-ID"] == "<logo>"
    assert image.get_content() == b"\x89PNG"
    assert [one.get_filename() for one in message.iter_attachments()] == ["all.csv"]


async def test_the_text_part_of_html_may_be_given(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        await run.send(body="<b>42</b>", html=True, text="forty-two")

    assert part(server.mails[0].message, "plain") == "forty-two\n"


async def test_a_template_file_sees_the_values_and_the_run(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        (run.artifacts / "mail.txt").write_text(
            "{{rows}} of {{shop.name}} in {{run.id}}: {{list}} {{note:none}}\n"
        )
        await run.send(
            body=..., body_path="mail.txt", values={"rows": 42, "shop": {"name": "{{x}}"}, "list": [1, "a"]}
        )

    assert part(server.mails[0].message, "plain") == '42 of {{x}} in run-1: [1,"a"] none\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Hello\n  {{rws}}",
            r"mail\.txt:2:5: \{\{rws\}\} has no value: 'rws' is not known here, only env, .*rows",
        ),
        ("Hello\n{{% if x }}", r"mail\.txt:2:1: Unsupported templating"),
    ],
)
async def test_a_mistake_in_a_template_file_is_shown_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    async with a_run(tmp_path) as (server, run):
        (run.artifacts / "mail.txt").write_text(text)
        with pytest.raises(AetherFlowError, match=message) as caught:
            await run.send(body=..., body_path="mail.txt", values={"rows": 42})

    assert caught.value.info().is_final
    assert server.connections == 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"subject": "Report\r\nBcc: eve@b.org"}, "the subject of the mail has a line end inside"),
        ({"subject": "a\x00b"}, r"the subject of the mail has the character U\+0000 inside"),
        ({"to": "ann@example.org\nBcc: eve@b.org"}, "to of the mail has a line end inside"),
        ({"cc": '"Ann\n" <ann@b.org>'}, "cc of the mail has a line end inside"),
        ({"from_addr": "ops@b.org\rX: y"}, "from_addr of the mail has a line end inside"),
        ({"reply_to": "a@b.org\u2028X"}, "reply_to of the mail has a line end inside"),
        ({"to": "ann"}, "to of the mail has 'ann', which is no mail address"),
        ({"to": "Smith, Ann <ann@b.org>"}, "to of the mail has 'Smith', which is no mail address"),
        ({"to": "a b@c.org"}, "no mail address"),
        ({"to": "ann@b..org"}, "no mail address"),
        ({"to": ["ann@b.org>", "bob@b.org"]}, "no mail address"),
        ({"to": " , "}, "to, cc and bcc are empty"),
        ({"to": None}, "do not fit: to is null: name who gets the mail"),
        ({"from_addr": "a@b.org, c@d.org"}, "from_addr names 2 addresses"),
        ({"attachments": "missing.csv"}, r"the attachment /.*/missing\.csv does not exist"),
        ({"attachments": "*.csv"}, r"no file matches the attachment '\*\.csv'"),
        ({"attachments": "."}, "is a folder"),
        ({"attachments": "../../../x"}, "leaves"),
        (
            {"attachments": ["big.bin"], "max_size": "10kB"},
            r"max_size is 10kB\. The largest: big\.bin \(20,000 bytes\)",
        ),
        ({"inline_images": {"logo": "big.bin"}}, "inline_images need an HTML text"),
        (
            {"html": True, "body": '<img src="cid:logo">'},
            "shows cid:logo, which is not among the inline_images",
        ),
        ({"body": ...}, "neither body nor body_path"),
        ({"body_path": "big.bin"}, "both body and body_path"),
        ({"values": {"a": 1}}, "values are for body_path"),
        ({"body": ..., "body_path": "mail.txt"}, r"cannot read the template /.*/mail\.txt: No such file"),
    ],
)
async def test_what_is_wrong_is_reported_before_anything_is_sent(
    tmp_path: Path, inputs: dict[str, Any], message: str
) -> None:
    async with a_run(tmp_path) as (server, run):
        (run.artifacts / "big.bin").write_bytes(b"x" * 20_000)
        with pytest.raises(StepError, match=message):
            await run.send(**inputs)

    assert server.connections == 0


async def test_a_yaml_block_may_end_a_subject_and_blank_copies_are_nobody(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        await run.send(
            subject="Report\n", cc="", bcc=None, html=None, to=["ann@example.org", "ann@example.org"]
        )

    assert server.mails[0].message["Subject"] == "Report"
    assert server.mails[0].recipients == ["ann@example.org"]


async def test_a_body_that_is_no_text_is_readable_json(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        await run.send(body=[{"job": "load", "message": "für"}])
        await MailRun(tmp_path, run.services.connectors._connectors["post"], run_id="2").send(body=3.5)  # type: ignore[attr-defined]  # of the test kit

    assert (
        part(server.mails[0].message, "plain") == '[\n  {\n    "job": "load",\n    "message": "für"\n  }\n]\n'
    )
    assert part(server.mails[1].message, "plain") == "3.5\n"


async def test_a_mail_to_hidden_recipients_only_says_so(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        await run.send(to=[], bcc=["a@b.org", "c@d.org"])

    assert server.mails[0].message["To"] == "undisclosed-recipients:;"
    assert server.mails[0].recipients == ["a@b.org", "c@d.org"]
