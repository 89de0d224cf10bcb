"""`notify` of a flow: one message for a broken night and one when it recovers, sent to real servers."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import InvalidInput
from aetherflow.events.run_events import StepFinished, StepRetrying
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.run_ends import end_before, has_succeeded_since
from aetherflow.testing import FlowRun, run_flow
from tests.servers.http_server import Answer, HttpServer
from tests.servers.smtp_server import smtp_server

pytestmark = pytest.mark.asyncio

HOOK = "/services/T000/B0123/canary-of-the-chat"
QUICK = "retry: {max_attempts: 3, backoff_seconds: 0.01}"

FLOW = """\
version: 1
flow:
  id: nightly
  timezone: UTC
  notify:
NOTIFY
resources:
  smtp:
    kind: mail
    driver: smtp
    config: {host: 127.0.0.1, port: "{{env.MAIL_PORT:1}}", starttls: true, ca: mail-ca.pem, user: a@b.org}
jobs:
  - id: load
    steps:
      - id: copy
        type: external.process
        inputs: {command: [test, -e, "{{flow.dir}}/ok"], cwd: flow}
"""
MAIL = f"- {{to: mail, resource: smtp, recipients: [ops@example.org], {QUICK}}}"
CHAT = f'- {{to: webhook, url: "{{{{env.CHAT}}}}", {QUICK}}}'


def flow(*entries: str) -> str:
    """Return the flow with these entries of `notify`."""
    return FLOW.replace("NOTIFY", "\n".join(f"    {entry}" for entry in entries))


class Nights:
    """Runs a flow night after night, in one folder and on one state database."""

    def __init__(self, folder: Path, text: str, **env: str) -> None:
        self.folder = folder
        self.text = text
        self.env = env

    async def run(self, *, works: bool, **request: Any) -> FlowRun:
        """Run the flow; it fails unless it works."""
        ok = self.folder / "ok"
        ok.touch() if works else ok.unlink(missing_ok=True)
        return await run_flow(self.text, self.folder, env=self.env, **request)


def sent(server: HttpServer) -> list[str]:
    """Return the first lines of the texts that arrived at a webhook."""
    return [request.json["text"].partition("\n")[0] for request in server.requests]


def message_end(run: FlowRun, number: int = 1) -> StepFinished:
    """Return how the message of an entry ended."""
    return next(one for one in run.seen.of(StepFinished) if one.job_id.startswith(f"@notify-{number}"))


async def test_a_broken_flow_sends_one_mail_and_one_when_it_works_again(tmp_path: Path) -> None:
    async with smtp_server(tmp_path) as server:
        nights = Nights(tmp_path, flow(MAIL), MAIL_PORT=str(server.port))
        first = await nights.run(works=False)
        second = await nights.run(works=False)
        await nights.run(works=False)
        back = await nights.run(works=True)
        fine = await nights.run(works=True)
        again = await nights.run(works=False)

    subjects = [str(mail.message["Subject"]).strip() for mail in server.mails]
    assert len(subjects) == 3, subjects
    assert subjects[0].startswith("[FAILED] nightly: load.copy: AF732 "), subjects
    assert subjects[1].startswith("[RECOVERED] nightly: SUCCESS after a failure, reported 20"), subjects
    assert subjects[2] == subjects[0]
    text = server.mails[0].message.get_content()
    assert f"aetherflow runs retry {first.run_id} --state {first.state}" in text
    assert message_end(first).status == "SUCCESS"
    reported = f"the failure is reported already, by run {first.run_id} at "
    assert (message_end(second).status, message_end(second).reason[: len(reported)]) == ("SKIPPED", reported)
    assert (message_end(fine).status, message_end(fine).reason) == (
        "SKIPPED",
        "no failure was reported before",
    )
    assert [one.status for one in (first, back, again)] == ["FAILED", "SUCCESS", "FAILED"]
    assert server.mails[0].recipients == ["ops@example.org"]


async def test_a_resume_that_succeeds_is_a_recovery_and_one_that_fails_again_is_not_reported(
    tmp_path: Path,
) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(200))
        nights = Nights(tmp_path, flow(CHAT), CHAT=server.url + HOOK)
        broken = await nights.run(works=False)
        await nights.run(works=False, run_id=broken.run_id)
        await nights.run(works=True, run_id=broken.run_id)

        assert [line.partition("]")[0] for line in sent(server)] == ["[FAILED", "[RECOVERED"]


async def test_only_what_an_entry_is_on_for_is_sent(tmp_path: Path) -> None:
    entries = [
        CHAT.replace("- {", "- {on: [failure], "),
        CHAT.replace("- {", "- {on: [recovery], "),
        CHAT.replace("- {", "- {on: [success], "),
        CHAT.replace("- {", "- {runs: scheduled, "),
    ]
    with HttpServer() as server:
        server.on(HOOK, Answer(200))
        nights = Nights(tmp_path, flow(*entries), CHAT=server.url + HOOK)
        for works in (False, True, True, False, False):
            await nights.run(works=works)

        heads = [line.partition("]")[0] for line in sent(server)]
    # a recovery is one for who was not on for the failure, too; after it the next failure is reported
    assert heads == ["[FAILED", "[RECOVERED", "[SUCCESS", "[SUCCESS", "[FAILED"]


async def test_a_message_that_cannot_be_sent_changes_nothing_and_is_sent_by_the_next_run(
    tmp_path: Path,
) -> None:
    async with smtp_server(tmp_path):
        pass  # its certificate is there
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nights = Nights(tmp_path, flow(MAIL), MAIL_PORT=str(taken.getsockname()[1]))
    first = await nights.run(works=False)
    assert first.status == "FAILED"
    assert [one.attempt for one in first.seen.of(StepRetrying)] == [1, 2]
    ended = message_end(first)
    assert ended.status == "FAILED"
    assert ended.error is not None
    assert "127.0.0.1" in ended.error.message
    async with smtp_server(tmp_path) as server:
        nights.env["MAIL_PORT"] = str(server.port)
        await nights.run(works=False)

    assert len(server.mails) == 1


async def test_a_webhook_that_answers_500_is_tried_again_and_its_address_is_a_secret(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(500), Answer(200))
        nights = Nights(tmp_path, flow(CHAT), CHAT=server.url + HOOK)
        run = await nights.run(works=False)

        assert len(server.requests) == 2
        assert message_end(run).status == "SUCCESS"
        server.on(HOOK, Answer(404, "no such hook"))
        await nights.run(works=True)
    run = await nights.run(works=True)  # the server is gone
    stored = b"".join(path.read_bytes() for path in run.state.parent.rglob("*") if path.is_file())
    assert b"canary-of-the-chat" not in stored
    for one in (run,):
        assert "canary-of-the-chat" not in repr(one.events)
    assert message_end(run).status == "FAILED"


async def test_a_webhook_may_have_a_query_which_is_masked_with_the_path_before_it(tmp_path: Path) -> None:
    query = "?key=canary-of-the-key&token=canary-of-the-token"
    with HttpServer() as server:
        server.on(HOOK, Answer(403, f"no {HOOK}".encode()))
        run = await Nights(tmp_path, flow(CHAT), CHAT=server.url + HOOK + query).run(works=False)

        assert {(one.path, one.query["token"]) for one in server.requests} == {(HOOK, "canary-of-the-token")}
    assert "canary" not in repr(run.events)


@pytest.mark.parametrize("name", ["url of notify x", "url of notify 7", "@notify-1"])
async def test_a_resource_may_be_called_as_an_address_of_a_message(tmp_path: Path, name: str) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(flow(CHAT).replace("  smtp:", f'  "{name}":'))
    checked = load_checked_flow(file, {"CHAT": "http://127.0.0.1:1/x"})
    assert {one.code for one in checked.diagnostics} <= {"AF552"}, "nothing but that nothing uses it"


async def test_a_webhook_that_redirects_has_not_got_the_message(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(302, headers={"Location": "/login"}))
        server.on("/login", Answer(200))
        run = await Nights(tmp_path, flow(CHAT), CHAT=server.url + HOOK).run(works=False)

        assert {one.path for one in server.requests} == {HOOK}
    error = message_end(run).error
    assert error is not None
    assert error.message.startswith("resource 'url of notify 1': POST ")
    assert "answered 302 Found: it redirects to /login" in error.message


async def test_a_silent_webhook_delays_the_end_by_no_more_than_its_time(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(200, wait_seconds=30))
        entry = CHAT.replace("- {", "- {timeout_seconds: 0.3, ")
        started = SystemClock().monotonic()
        run = await Nights(tmp_path, flow(entry), CHAT=server.url + HOOK).run(works=False)
        took = SystemClock().monotonic() - started

    error = message_end(run).error
    assert error is not None
    assert error.code == "AF711"
    assert error.message.startswith("the message's timeout_seconds passed after 0.3 s")
    assert error.hint == "raise timeout_seconds of the entry of notify if sending needs that long"
    assert took < 20  # the server would have been silent for 30 s


async def test_a_command_gets_the_text_and_variables_and_no_shell(tmp_path: Path) -> None:
    program = (
        "import json, os, sys; "
        "names = [one for one in os.environ if one.startswith('AETHERFLOW_NOTIFY_')]; "
        "found = [sys.argv[1:], sys.stdin.read(), {one: os.environ[one] for one in names}]; "
        "json.dump(found, open('got', 'w'))"
    )
    command = json.dumps([sys.executable, "-c", program, "$(touch shell) {{notify.event}}"])
    run = await Nights(tmp_path, flow(f"- {{to: command, command: {command}}}")).run(works=False)

    assert message_end(run).status == "SUCCESS", message_end(run)
    arguments, text, variables = json.loads((tmp_path / "got").read_text())
    assert arguments == ["$(touch shell) failure"]
    assert not (tmp_path / "shell").exists()
    assert text.startswith("[FAILED] nightly: load.copy: AF732 ")
    assert variables["AETHERFLOW_NOTIFY_RUN"] == run.run_id
    assert variables["AETHERFLOW_NOTIFY_SUBJECT"] == text.partition("\n")[0]
    assert (variables["AETHERFLOW_NOTIFY_ITEM"], variables["AETHERFLOW_NOTIFY_STATUS"]) == ("none", "FAILED")


async def test_two_runs_that_fail_at_once_send_one_message(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.on(HOOK, Answer(200, wait_seconds=0.2))
        nights = Nights(tmp_path, flow(CHAT), CHAT=server.url + HOOK)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: nights.run(works=False))

        assert len(server.requests) == 1


async def test_a_secret_of_the_flow_is_masked_in_the_message(tmp_path: Path) -> None:
    text = flow(CHAT).replace('"{{flow.dir}}/ok"]', '"{{flow.dir}}/ok", "{{env.DB_PASSWORD}}"]')
    with HttpServer() as server:
        server.on(HOOK, Answer(200))
        env = {"CHAT": server.url + HOOK, "DB_PASSWORD": "canary-of-the-database"}
        await Nights(tmp_path, text, **env).run(works=False)

        (request,) = server.requests
    assert b"canary-of-the-database" not in request.body
    assert b"[FAILED] nightly: load.copy" in request.body


async def test_a_long_summary_is_cut_to_what_a_chat_takes_and_keeps_the_command_that_resumes(
    tmp_path: Path,
) -> None:
    failing = "\n".join(
        f"  - {{id: j{n}, steps: [{{id: s, type: external.process, inputs: {{command: [cat, /no/{n}]}}}}]}}"
        for n in range(30)
    )
    with HttpServer() as server:
        server.on(HOOK, Answer(200))
        run = await Nights(tmp_path, flow(CHAT) + failing + "\n", CHAT=server.url + HOOK).run(works=True)

        text = server.requests[0].json["text"]
    assert len(text) <= 1800
    assert text.startswith("[FAILED] nightly: j")
    assert text.splitlines()[-2].startswith(f"resume: aetherflow runs retry {run.run_id}"), text


async def test_messages_are_no_part_of_what_a_resume_compares(tmp_path: Path) -> None:
    text = flow(CHAT).replace("  notify:\n    " + CHAT + "\n", "")
    nights = Nights(tmp_path, text)
    broken = await nights.run(works=False)
    with HttpServer() as server:
        server.on(HOOK, Answer(200))
        nights.text, nights.env["CHAT"] = flow(CHAT.replace("- {", "- {on: [success], ")), server.url + HOOK
        resumed = await nights.run(works=True, run_id=broken.run_id)

        assert resumed.status == "SUCCESS"
        assert len(server.requests) == 1
    assert not [line for line in resumed.logged if "changed" in line], resumed.logged


async def test_the_questions_to_the_database_use_an_index(tmp_path: Path) -> None:
    nights = Nights(tmp_path, flow("- {to: command, command: ['true']}"))
    run = await nights.run(works=False)
    plans: list[str] = []

    def explain(raw: Any) -> None:
        class Explained:
            def execute(self, sql: str, values: tuple[Any, ...]) -> Any:
                plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values))
                return raw.execute(sql, values)

        now = SystemClock().now()
        found: Any = Explained()
        assert has_succeeded_since(found, "nightly", "", now) is False
        assert end_before(found, "nightly", "", "other", now) == "FAILED"

    async with DatabasePool().use(run.state) as shared:
        await shared.database.read(explain)
    assert [plan for plan in plans if plan.startswith("SCAN")] == [], plans
    assert sum("run_state_by_flow (flow_id=? AND started_at>?)" in plan for plan in plans) == 2, plans


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("- {to: mail, resource: smtp}", "AF880 6:7 a mail needs recipients"),
        ("- {to: mail, recipients: a@b.org}", "AF880 6:7 a mail needs the resource that sends it"),
        ("- {to: mail, resource: smpt, recipients: a@b.org}", "AF550 6:18 the flow has no resource 'smpt'"),
        ("- {to: webhook}", "AF880 6:7 a webhook needs either url or resource"),
        ("- {to: webhook, url: chat.example.org/x}", "AF880 6:21 url is no web address"),
        ('- {to: webhook, url: "https://me:pass@chat.example.org/x"}', "AF880 6:21 url is no web address"),
        ("- {to: webhook, resource: smtp}", "AF880 6:21 a webhook needs a resource of kind rest"),
        ("- {to: command, command: []}", "AF880 6:7 a command needs the program"),
        (
            "- {to: command, command: [x], url: y}",
            "AF880 6:35 url is for webhook, and this entry is for",
        ),
        (
            "- {to: command, command: [x], on: [late]}",
            "AF881 6:35 whether a run is late is known to its",
        ),
        ('- {to: command, command: ["{{notify.txt}}"]}', "AF403 6:34 'notify.txt' is not known"),
        ("- {to: webhook, url: 5}", "AF880 6:21 url is no web address"),
        ("- {to: command, command: mail -s x}", "AF110 6:21 'command': expected a list, got the text"),
        ("- {to: pager}", "AF113 6:8 'to': the text 'pager' is not allowed"),
        ("- {to: command, comand: [x]}", "AF111"),
    ],
)
async def test_what_is_wrong_with_an_entry_is_found_at_its_place(
    tmp_path: Path, entry: str, found: str
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(flow(entry))
    try:
        errors = load_checked_flow(file, {}).diagnostics
    except InvalidInput as error:
        errors = list(error.diagnostics)
    errors = [one for one in errors if "smtp" not in one.message]  # which not every entry uses
    texts = [f"{one.code} {one.line}:{one.column} {one.message}" for one in errors]
    assert [text for text in texts if text.startswith(found)], texts
    assert len(texts) == 1, texts
