"""Each recipient gets a mail once: refusals, retries, resumed runs, connections lost at any point."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_mail import transaction
from aetherflow_mail.failures import AnswerLost

from aetherflow import NOT_DONE, StepError
from aetherflow.testing import FakeClock
from tests.plugins.mail_run import MailRun, open_mail
from tests.polling import eventually
from tests.servers.smtp_server import DROP, HANG, MailServer, Stage, smtp_server
from tests.servers.tcp_proxy import TcpProxy
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

THREE = ["ann@example.org", "bob@example.org", "cid@example.org"]


@asynccontextmanager
async def a_run(folder: Path, **options: Any) -> AsyncIterator[tuple[MailServer, MailRun]]:
    """Give a server, and a run that sends to it with these options of the resource."""
    async with smtp_server(folder) as server:
        yield server, MailRun(folder, await open_mail(server, **options))


async def test_a_mail_that_was_taken_is_not_sent_again(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        first = await run.send()
        connections = server.connections
        second = await run.send()

    assert len(server.mails) == 1
    assert server.connections == connections
    assert first == second


async def test_the_message_id_is_the_same_in_every_attempt_and_another_for_every_step(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        first = await run.send()
        run.effects.clear()
        again = await run.send()
        other = MailRun(tmp_path, await open_mail(server), run_id="run-2")
        third = await other.send()

    assert first["message_id"] == again["message_id"] != third["message_id"]
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", first["message_id"])


async def test_who_is_refused_is_named_and_only_they_get_it_in_the_next_attempt(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        server.plan("RCPT", "550 5.1.1 User unknown", recipient="bob@example.org")
        with pytest.raises(StepError) as caught:
            await run.send(to=THREE)
        assert re.fullmatch(
            r"127\.0\.0\.1:\d+ refuses 1 of 3 recipients: bob@example\.org \(550 5\.1\.1 User unknown\); "
            r"the mail was sent to ann@example\.org, cid@example\.org",
            caught.value.message,
        )
        assert (caught.value.code, caught.value.kind, caught.value.info().is_final) == (
            "AF368",
            "other",
            True,
        )
        assert caught.value.detail["delivered"] == ["ann@example.org", "cid@example.org"]

        outputs = await run.send(to=THREE)

    assert [mail.recipients for mail in server.mails] == [
        ["ann@example.org", "cid@example.org"],
        ["bob@example.org"],
    ]
    assert {mail.message["Message-ID"] for mail in server.mails} == {outputs["message_id"]}
    assert outputs["recipients"] == THREE


async def test_recipients_that_are_refused_again_and_again_are_the_only_ones_asked(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        server.plan("RCPT", "451 4.7.1 greylisted", times=2, recipient="bob@example.org")
        server.plan("RCPT", "550 5.1.1 User unknown", times=2, recipient="cid@example.org")
        messages = []
        for _ in range(2):
            with pytest.raises(StepError) as caught:
                await run.send(to=THREE)
            messages.append(caught.value.message.partition("; the mail")[2])
            assert caught.value.kind == "connection"
            assert not caught.value.info().is_final
        await run.send(to=THREE)

    assert messages == [" was sent to ann@example.org"] * 2
    assert [mail.recipients for mail in server.mails] == [
        ["ann@example.org"],
        ["bob@example.org", "cid@example.org"],
    ]


@pytest.mark.parametrize("stage", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_what_is_refused_for_now_may_be_retried_and_the_connector_does_that(
    tmp_path: Path, stage: Stage
) -> None:
    async with a_run(tmp_path, retry={"max_attempts": 3, "backoff_seconds": 30}) as (server, run):
        server.plan(stage, "451 4.7.1 greylisted", times=2)
        await run.send()
        assert isinstance(run.clock, FakeClock)

    assert len(server.mails) == 1
    assert len(run.logged) == 2
    assert re.fullmatch(r"attempt 1 of 3: .*451.*greylisted.*; the next one in 30 s", run.logged[0])
    assert run.logged[1].endswith("; the next one in 60 s")


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_what_is_refused_for_good_is_not_retried(tmp_path: Path, stage: Stage) -> None:
    async with a_run(tmp_path, retry={"max_attempts": 3}) as (server, run):
        server.plan(stage, "554 5.7.1 no spam please")
        with pytest.raises(StepError, match=r"554 5\.7\.1 no spam please") as caught:
            await run.send()

        assert (server.connections, server.mails) == (1, [])
        assert caught.value.info().is_final
        assert caught.value.kind == "other"
        recorded = [str(effect.result.get(NOT_DONE)) for effect in run.effects.values()]
        assert ["554 5.7.1 no spam please" in reason for reason in recorded] == [True] * (stage == "DATA")
        await run.send()

    assert len(server.mails) == 1
    assert run.logged == []


async def test_a_connection_that_is_lost_before_the_answer_may_mean_two_mails_and_says_so(
    tmp_path: Path,
) -> None:
    async with a_run(tmp_path, retry={"max_attempts": 3}) as (server, run):
        server.plan("DATA", DROP)
        with pytest.raises(
            AnswerLost, match="was lost before it answered whether it takes the mail <"
        ) as caught:
            await run.send()
        assert (caught.value.code, caught.value.kind) == ("AF374", "connection")
        assert server.connections == 1  # the connector itself does not risk it
        await run.send()

    assert len(server.mails) == 1
    (warning,) = run.logged
    assert "may have been sent; it is sent again, with the same Message-ID" in warning


@pytest.mark.parametrize("stage", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_server_that_stops_answering_is_left_after_the_timeout(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "ANSWER_FACTOR", 1)
    seconds = 4 if stage == "DATA" else 1  # also the time for each answer before it, which has another code
    async with a_run(tmp_path, timeout=seconds) as (server, run):
        server.plan(stage, HANG)
        with anyio.fail_after(30), pytest.raises(StepError) as caught:
            await run.send()

    assert caught.value.kind == "connection"
    assert caught.value.code == ("AF374" if stage == "DATA" else "AF365")
    assert server.mails == []


async def failure_of(run: MailRun) -> StepError | None:
    """Return the error of sending a mail with a file; None if it was sent."""
    try:
        await run.send(attachments="a.bin")
    except StepError as error:
        return error
    return None


async def test_a_connection_cut_at_any_byte_is_no_success_and_no_duplicate(tmp_path: Path) -> None:
    """The proxy cuts at many offsets in both directions; each time a later attempt delivers."""
    async with smtp_server(tmp_path, tls="none") as server:
        with TcpProxy(server.port) as proxy:
            connector = await open_mail(server, {"port": proxy.port, "starttls": False})
            for number, offset in enumerate(range(10, 3000, 30 if LARGE else 200)):
                for direction in ("up", "down"):
                    run = MailRun(tmp_path, connector, run_id=f"r{number}{direction}")
                    (run.artifacts / "a.bin").write_bytes(b"x" * 1000)
                    taken, cuts = len(server.mails), proxy.cuts
                    proxy.cut_after(offset, "up" if direction == "up" else "down")
                    error = await failure_of(run)
                    assert error is None or error.kind == "connection"
                    assert error is None or proxy.cuts == cuts + 1
                    if not isinstance(error, AnswerLost):
                        assert len(server.mails) == taken + (error is None)
                    proxy.heal()
                    before = len(server.mails)
                    await run.send(attachments="a.bin")
                    assert len(server.mails) == before + (error is not None)


async def test_a_cancelled_step_takes_note_of_the_answer_that_comes_in_a_moment(tmp_path: Path) -> None:
    async with a_run(tmp_path) as (server, run):
        slow = anyio.Event()

        async def wait(*_: object) -> None:
            server.commands.append("END")
            await slow.wait()

        server.at_end = wait
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.send)
            await eventually(lambda: "END" in server.commands)
            tasks.cancel_scope.cancel()
            slow.set()

        assert len(server.mails) == 1
        await run.send()

    assert len(server.mails) == 1
    assert run.logged == []


async def test_a_cancelled_step_ends_while_the_server_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "ANSWER_GRACE_SECONDS", 0.1)
    async with a_run(tmp_path) as (server, run):
        server.plan("DATA", HANG)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.send)
                await eventually(lambda: "DATA" in server.commands)
                tasks.cancel_scope.cancel()

    assert server.mails == []


async def test_mails_at_the_same_time_share_a_few_connections(tmp_path: Path) -> None:
    now, most = 0, 0

    async def count() -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await eventually(lambda: most > 1)  # the first mail is answered when another one is on its way
        await anyio.sleep(0.02)
        now -= 1

    async with smtp_server(tmp_path) as server:
        server.at_end = count
        connector = await open_mail(server, max_connections=2)
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                run = MailRun(tmp_path, connector, run_id=f"r{number}")
                tasks.start_soon(lambda run=run: run.send())  # type: ignore[misc]  # a default of a lambda

    assert len(server.mails) == 8
    assert most == 2


async def test_a_server_with_a_limit_of_recipients_gets_several_transmissions(tmp_path: Path) -> None:
    people = [f"p{number}@example.org" for number in range(5)]
    async with a_run(tmp_path) as (server, run):
        for person in people[2:]:
            server.plan("RCPT", "452 4.5.3 Too many recipients", recipient=person)
        for person in people[4:]:
            server.plan("RCPT", "452 4.5.3 Too many recipients", recipient=person)
        outputs = await run.send(to=people)

    assert [mail.recipients for mail in server.mails] == [people[:2], people[2:4], people[4:]]
    assert outputs["recipients"] == people
    assert [key for _, _, key in run.effects] == ["mail", "mail (2)", "mail (3)"]


async def test_a_server_that_answers_ok_to_data_has_taken_nothing(tmp_path: Path) -> None:
    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def talk() -> None:
            writer.write(b"220 odd\r\n")
            while await reader.readline():
                writer.write(b"250 OK\r\n")
            writer.close()

        talking.append(asyncio.ensure_future(talk()))

    talking: list[asyncio.Future[None]] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as odd, smtp_server(tmp_path) as server:
        port = odd.sockets[0].getsockname()[1]
        run = MailRun(tmp_path, await open_mail(server, {"port": port, "starttls": False}))
        with pytest.raises(StepError, match="refuses the mail: 250 OK"):
            await run.send()
        await asyncio.gather(*talking)


async def test_a_content_that_did_not_reach_its_end_is_no_mail_and_needs_no_warning(tmp_path: Path) -> None:
    async with smtp_server(tmp_path, tls="none") as server:
        with TcpProxy(server.port) as proxy:
            run = MailRun(tmp_path, await open_mail(server, {"port": proxy.port, "starttls": False}))
            with (run.artifacts / "a.bin").open("wb") as file:
                file.truncate(12_000_000)  # more than the buffers of sockets on the way hold
            proxy.cut_after(50_000, "up")
            with pytest.raises(StepError) as caught:
                await run.send(attachments="a.bin")
            await run.send()

    assert caught.value.code == "AF365"
    assert len(server.mails) == 1
    assert run.logged == []


async def test_attempts_of_a_plugin_send_only_to_those_who_have_not_got_it(tmp_path: Path) -> None:
    async with smtp_server(tmp_path) as server:
        connector = await open_mail(server, retry={"max_attempts": 2, "backoff_seconds": 0})
        server.plan("RCPT", "451 greylisted", recipient="bob@example.org")
        await connector.send_plaintext(to=THREE, subject="s", body="b")

    assert [mail.recipients for mail in server.mails] == [[THREE[0], THREE[2]], [THREE[1]]]
