"""Mail from plugins: the methods of the connector, also as plugins of 0.0.x call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from aetherflow_mail.smtp_settings import SmtpConfig

from aetherflow import StepError
from aetherflow.testing import run_flow
from tests.plugins.mail_run import open_mail
from tests.servers.smtp_server import smtp_server

pytestmark = pytest.mark.asyncio

OLD_PLUGIN = """
from aetherflow.core.api import Step, register_step


class SendOld(Step):
    def run(self):
        mail = self.ctx.connectors.mail("post")
        mail.send_plaintext(to="ann@example.org", subject="One", body="plain", cc=["cid@example.org"])
        mail.send_html(to=["ann@example.org"], subject="Two", html="<b>rich</b>", bcc="eve@example.org")
        with mail.client() as client:
            client.sendmail("ops@example.org", ["ann@example.org"], "Subject: Three\\n\\nraw")


register_step("send_old", SendOld)
"""
FLOW = """\
version: 1
flow: {{id: old}}
resources:
  post:
    kind: mail
    driver: smtp
    config:
      {{host: localhost, port: {port}, starttls: true, ca: mail-ca.pem, user: ops@example.org, password: pw}}
jobs:
  - id: a
    steps:
      - {{id: s, type: send_old}}
"""


async def test_a_plugin_of_old_sends_as_it_did(tmp_path: Path) -> None:
    (tmp_path / "send_old.py").write_text(OLD_PLUGIN)
    flow = tmp_path / "flow.yaml"
    async with smtp_server(tmp_path, users={"ops@example.org": "pw"}) as server:
        flow.write_text(FLOW.format(port=server.port))
        ended = await run_flow(flow, tmp_path, env={"AETHERFLOW_PLUGIN_PATHS": str(tmp_path / "send_old.py")})

    assert ended.status == "SUCCESS", ended.logged
    assert [mail.message["Subject"] for mail in server.mails] == ["One", "Two", "Three"]
    assert [mail.recipients for mail in server.mails] == [
        ["ann@example.org", "cid@example.org"],
        ["ann@example.org", "eve@example.org"],
        ["ann@example.org"],
    ]
    assert server.mails[1].message.get_body(("plain",)).get_content().strip() == "rich"  # type: ignore[union-attr]  # it has one
    assert {mail.sender for mail in server.mails} == {"ops@example.org"}


async def test_a_plugin_gets_the_same_errors(tmp_path: Path) -> None:
    async with smtp_server(tmp_path) as server:
        connector = await open_mail(server, retry={"max_attempts": 2, "backoff_seconds": 0})
        server.plan("RCPT", "451 later")
        await connector.send_plaintext(to="ann@example.org", subject="s", body="b")
        server.plan("RCPT", "550 nobody", recipient="ann@example.org")
        with pytest.raises(StepError, match=r"refuses 1 of 2 recipients: ann@example\.org \(550 nobody\)"):
            await connector.send_html(to=["ann@example.org", "bob@example.org"], subject="s", html="b")

    assert [mail.recipients for mail in server.mails] == [["ann@example.org"], ["bob@example.org"]]


async def test_a_plugin_may_speak_smtp_itself(tmp_path: Path) -> None:
    async with smtp_server(tmp_path) as server, (await open_mail(server)).session() as client:
        await client.sendmail("ops@example.org", ["ann@example.org"], b"Subject: s\r\n\r\nb")

    assert server.mails[0].recipients == ["ann@example.org"]


@pytest.mark.parametrize(
    ("host", "is_exposed"),
    [
        ("localhost", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost.example.org", True),
        ("127.example.org", True),
        ("10.0.0.1", True),
    ],
)
async def test_only_to_this_machine_a_password_may_go_unencrypted_without_a_warning(
    host: str,
    is_exposed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    config = SmtpConfig(host, 25, username="ann", password="x")  # noqa: S106 - not used
    assert config.exposes_password is is_exposed
