"""Flows that send mail, run by the engine: retries, hooks, resumed runs, a secret in a subject."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aetherflow.testing import FlowRun, run_flow
from tests.servers.smtp_server import DROP, MailServer, smtp_server

pytestmark = pytest.mark.asyncio

FLOW = """\
version: 1
flow:
  id: report
  on_failure:
    - id: warn
      type: mail_send
      inputs:
        resource: post
        to: oncall@example.org
        subject: "{{{{flow.id}}}} failed"
        body: "{{{{run.failed_jobs}}}}: {{{{run.errors}}}}"
resources:
  post:
    kind: mail
    driver: smtp
    config:
      host: 127.0.0.1
      port: "{port}"
      starttls: true
      ca: mail-ca.pem
      user: ops
      password: canary-pw
      from_addr: ops@example.org
jobs:
  - id: report
    steps:
      - id: write
        type: external.process
        inputs: {{command: ["{python}", -c, "open('report.csv', 'w').write('day')"], cwd: artifacts}}
      - id: send
        type: mail_send
        inputs:
          resource: post
          to: [ann@example.org, bob@example.org]
          subject: Report
          body_path: "{{{{flow.dir}}}}/mail.txt"
          values: {{rows: "42"}}
          attachments: "*.csv"
        retry: {{max_attempts: 3, backoff_seconds: 0.01}}
        on_interrupt: {on_interrupt}
"""


async def run(server: MailServer, folder: Path, on_interrupt: str = "rerun") -> FlowRun:
    """Run the flow once more: the same run id resumes it."""
    flow = folder / "flow.yaml"
    flow.write_text(FLOW.format(port=server.port, python=sys.executable, on_interrupt=on_interrupt))
    (folder / "mail.txt").write_text("{{rows}} rows in {{run.id}}, {{flow.id}}")
    return await run_flow(flow, folder)


async def test_a_flow_sends_its_report(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, users={"ops": "canary-pw"}) as server:
        ended = await run(server, tmp_path)

    assert ended.status == "SUCCESS"
    (mail,) = server.mails
    assert mail.message.get_body(("plain",)).get_content().startswith("42 rows in ")  # type: ignore[union-attr]  # it has one
    assert [one.get_filename() for one in mail.message.iter_attachments()] == ["report.csv"]


async def test_a_greylisted_mail_is_retried_by_the_step_for_those_who_have_not_got_it(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, users={"ops": "canary-pw"}) as server:
        server.plan("RCPT", "451 4.7.1 greylisted", times=2, recipient="bob@example.org")
        ended = await run(server, tmp_path)

    assert ended.status == "SUCCESS"
    assert [mail.recipients for mail in server.mails] == [["ann@example.org"], ["bob@example.org"]]


async def test_a_mail_that_is_refused_for_good_is_tried_once_and_the_hook_says_why(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, users={"ops": "canary-pw"}) as server:
        server.plan("DATA", "554 5.7.1 looks like spam")
        ended = await run(server, tmp_path)

    assert ended.status == "FAILED"
    (warning,) = server.mails
    assert warning.recipients == ["oncall@example.org"]
    assert warning.message["Subject"] == "report failed"
    body = warning.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert "554 5.7.1 looks like spam" in body
    assert "canary-pw" not in body


@pytest.mark.parametrize(
    ("on_interrupt", "recipients"), [("rerun", "ann@example.org"), ("fail", "oncall@example.org")]
)
async def test_a_lost_answer_is_retried_unless_the_flow_forbids_it(
    tmp_path: Path, on_interrupt: str, recipients: str
) -> None:
    async with smtp_server(tmp_path, users={"ops": "canary-pw"}) as server:
        server.plan("DATA", DROP)
        ended = await run(server, tmp_path, on_interrupt)

    assert ended.status == ("SUCCESS" if on_interrupt == "rerun" else "FAILED")
    assert [mail.recipients[0] for mail in server.mails] == [recipients]
