"""What a step changes outside: an intent before, a confirmation after; what a later attempt makes of them."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import StepContext, StepError, step
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from aetherflow.steps.with_lock import with_lock
from tests.cli.command_line import CommandLine
from tests.execution.live_run import flow, live, one_step, query, stored

pytestmark = pytest.mark.asyncio

PLUGIN = """
import os, pathlib
from aetherflow import StepContext, step

@step("send")
async def send(context: StepContext, inputs: dict) -> dict:
    here = pathlib.Path(inputs["here"])
    async def arrived():
        return {"bytes": (here / "far").stat().st_size} if (here / "far").exists() else None
    for number in (1, 2):
        async with context.effect(f"send {number}", detail={"number": number}) as sent:
            if not sent.done:
                with (here / "log").open("a") as log:
                    log.write(f"{number} ")
    async with context.effect("send 3", verify=arrived) as sent:
        if not sent.done:
            if inputs["die"] == "before" and not (here / "died").exists():
                (here / "died").touch()
                os.kill(os.getpid(), 9)
            (here / "far").write_text("data")
            with (here / "log").open("a") as log:
                log.write("3 ")
            if inputs["die"] == "after" and not (here / "died").exists():
                (here / "died").touch()
                os.kill(os.getpid(), 9)
    return {"bytes": sent.result.get("bytes", -1)}
"""


async def test_the_intent_is_stored_before_the_block_and_the_confirmation_after_it(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send", detail={"size": 3}) as effect:
            assert not effect.done
            seen.append(stored(tmp_path))
            effect.result = {"id": "m1"}
        seen.append(stored(tmp_path))

    async with live(one_step("send"), tmp_path, {"send": send}) as run:
        await run.run()
    assert seen[0][-1] == "effect_intended a.s"
    assert seen[1][-1] == "effect_confirmed a.s"
    payloads = query(tmp_path, "SELECT payload ->> 'detail', payload ->> 'result' FROM events")
    assert ('{"size":3}', None) in payloads
    assert (None, '{"id":"m1"}') in payloads


async def test_a_retry_does_not_repeat_what_was_confirmed_and_verifies_what_was_not(tmp_path: Path) -> None:
    done: list[str] = []

    async def is_there() -> dict[str, str] | None:
        return {"size": "4"} if "second" in done else None

    async def send(context: StepContext, _: dict[str, Any]) -> dict[str, Any]:
        first = context.effect("first")
        assert first.done == bool(done)  # known before the block begins
        async with first:
            if not first.done:
                done.append("first")
                first.result = {"id": 7}
        async with context.effect("second", verify=is_there) as second:
            if not second.done:
                done.append("second")
                raise StepError("the line broke after it had arrived", kind="connection")
        async with context.effect("third") as third:
            if not third.done:
                done.append("third")
                if context.attempt == 2:
                    raise StepError("nobody can ask for it", kind="connection")
        return {"first": first.result["id"], "second": second.result["size"]}

    text = one_step("send", more="retry: {max_attempts: 3}")
    async with live(text, tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").status == "SUCCESS"
    assert run.step("a.s").outputs == {"first": 7, "second": "4"}
    assert done == ["first", "second", "third", "third"]
    assert run.step("a.s").effects == {}, "forgotten when the step has ended well"
    verified = [(event.key, event.verified) for event in run.seen.of(e.EffectConfirmed)]
    assert verified == [("first", False), ("second", True), ("third", False)]


async def test_two_effects_of_one_key_are_an_error_and_not_taken_for_one(tmp_path: Path) -> None:
    done: list[int] = []

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        for number in (1, 2):
            async with context.effect("send"):
                done.append(number)

    async with live(one_step("send"), tmp_path, {"send": send}) as run:
        await run.run()
    assert done == [1]
    assert run.step("a.s").error.message == "the step uses the effect key 'send' twice"


async def test_two_effects_of_one_key_are_an_error_while_the_first_has_not_ended(tmp_path: Path) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send"), context.effect("send"):
            pass

    async with live(one_step("send"), tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").error.message == "the step uses the effect key 'send' twice"


async def test_an_inner_step_that_runs_twice_does_not_pass_for_itself(tmp_path: Path) -> None:
    done: list[int] = []

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send") as effect:
            if not effect.done:
                done.append(len(done))

    async def outer(context: StepContext, _: dict[str, Any]) -> None:
        for _time in range(2):
            await context.run_nested_step(step_id="in", step_type="send", inputs={})

    async with live(one_step("outer"), tmp_path, {"send": send, "outer": outer}) as run:
        await run.run()
    assert done == [0]
    assert "twice" in run.step("a.s").error.message


@pytest.mark.parametrize(
    ("detail", "result", "message"),
    [
        ([1], {}, "the detail of the effect 'send' must be a mapping, not list"),
        ({}, "m1", "the result of the effect 'send' must be a mapping, not str"),
        ({}, None, "the result of the effect 'send' must be a mapping, not NoneType"),
    ],
)
async def test_what_the_journal_could_not_read_again_is_not_stored(
    tmp_path: Path, detail: Any, result: Any, message: str
) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send", detail=detail) as effect:
            effect.result = result

    for number in (1, 2):  # the second time reads what the first has stored
        async with live(one_step("send"), tmp_path, {"send": send}) as run:
            await run.run()
        assert run.step("a.s").error.message == message, number


@pytest.mark.parametrize("found", [5, "yes"])
async def test_verify_that_returns_something_else_fails_with_its_name(tmp_path: Path, found: Any) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send", verify=lambda: found):
            raise StepError("the line broke", kind="connection")

    text = one_step("send", more="retry: {max_attempts: 2}")
    async with live(text, tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").error.message.startswith("what verify of 'send' returns must be a mapping, not ")


async def test_a_plain_verify_serves_an_async_block_too(tmp_path: Path) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> dict[str, Any]:
        async with context.effect("send", verify=lambda: True) as effect:
            if not effect.done:
                raise StepError("the line broke", kind="connection")
        return {"done": effect.done}

    text = one_step("send", more="retry: {max_attempts: 2}")
    async with live(text, tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").outputs == {"done": True}


async def test_the_key_of_an_effect_is_a_text(tmp_path: Path) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect(5):  # type: ignore[arg-type]  # what is tested
            pass

    async with live(one_step("send"), tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").error.message == "the key of an effect is a text, not int"


async def test_a_step_may_try_an_effect_again_by_itself(tmp_path: Path) -> None:
    tries: list[int] = []

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        for number in (1, 2):
            with suppress(ConnectionError):
                async with context.effect("send"):
                    tries.append(number)
                    if number == 1:
                        raise ConnectionError

    async with live(one_step("send"), tmp_path, {"send": send}) as run:
        await run.run()
    assert (run.step("a.s").status, tries) == ("SUCCESS", [1, 2])


async def test_a_step_inside_a_step_has_effects_of_its_own(tmp_path: Path) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send"):
            pass

    text = one_step("with_lock", inputs="{lock_key: k, step: {type: send, id: one}}")
    kinds = [with_lock, step("send")(send)]
    async with live(text, tmp_path, kinds) as run:
        await run.run()
    assert run.state.phase == "SUCCESS"
    assert [event.key for event in run.seen.of(e.EffectConfirmed)] == ["one/send"]


async def test_a_sync_step_uses_the_same_block_and_its_own_thread_verifies(tmp_path: Path) -> None:
    threads: list[int] = []

    def is_there() -> bool:
        threads.append(threading.get_ident())
        return True

    def send(context: StepContext, _: dict[str, Any]) -> None:
        with context.effect("send", verify=is_there) as effect:
            if not effect.done:
                threads.append(threading.get_ident())
                raise StepError("it broke", kind="connection")

    text = one_step("send", more="retry: {max_attempts: 2}")
    async with live(text, tmp_path, {"send": send}) as run:
        await run.run()
    assert run.step("a.s").status == "SUCCESS"
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_keys_details_and_results_are_masked(tmp_path: Path) -> None:
    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send hunter2", detail={"to": "hunter2"}) as effect:
            effect.result = {"got": "hunter2"}

    async with live(one_step("send"), tmp_path, {"send": send}, secrets=["hunter2"]) as run:
        await run.run()
    assert run.step("a.s").status == "SUCCESS"
    assert not query(tmp_path, "SELECT * FROM events WHERE payload LIKE '%hunter2%'")


async def test_nothing_is_changed_outside_when_the_intent_cannot_be_stored(tmp_path: Path) -> None:
    done: list[str] = []

    class Broken:
        def __init__(self, journal: Any) -> None:
            self.journal = journal

        async def commit(self, events: Any) -> None:
            if any(isinstance(event, e.EffectIntended) for event in events):
                raise StateError("the disk is full")
            await self.journal.commit(events)

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async with context.effect("send"):
            done.append("send")

    async with live(one_step("send"), tmp_path, {"send": send}, durable=Broken) as run:
        with pytest.raises(StateError, match="the disk is full"):
            await run.run()
    assert done == []


async def test_a_thread_that_is_left_behind_can_store_no_effect_any_more(tmp_path: Path) -> None:
    late: list[str] = []
    contexts: list[StepContext] = []

    async def first(context: StepContext, _: dict[str, Any]) -> None:
        contexts.append(context)

    async def second(_context: StepContext, _: dict[str, Any]) -> None:
        try:
            async with contexts[0].effect("send"):
                pass
        except StepError as error:
            late.append(error.message)

    text = flow("{id: a, steps: [{id: s, type: first}, {id: z, type: second}]}")
    async with live(text, tmp_path, {"first": first, "second": second}) as run:
        await run.run()
    assert late == ["the effect 'send' comes too late: its step has ended"]
    assert run.state.phase == "SUCCESS"


async def test_many_effects_at_once_share_commits(tmp_path: Path) -> None:
    commits: list[int] = []

    class Counting:
        def __init__(self, journal: Any) -> None:
            self.journal = journal

        async def commit(self, events: Any) -> None:
            commits.append(len(events))
            await self.journal.commit(events)

    async def send(context: StepContext, _: dict[str, Any]) -> None:
        async def one(number: int) -> None:
            async with context.effect(f"send {number}"):
                pass

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)

    async with live(one_step("send"), tmp_path, {"send": send}, durable=Counting) as run:
        await run.run()
    assert run.state.phase == "SUCCESS"
    assert len(commits) < 20
    assert len(query(tmp_path, "SELECT 1 FROM events WHERE event = 'effect_confirmed'")) == 50


@pytest.mark.parametrize(
    ("die", "log", "size"), [("before", "1 2 3 ", -1), ("after", "1 2 3 ", 4), ("never", "1 2 3 ", -1)]
)
async def test_a_run_that_was_killed_between_intent_and_confirmation_repeats_nothing_that_happened(
    tmp_path: Path, die: str, log: str, size: int
) -> None:
    cli = CommandLine(tmp_path)
    cli.write("plugins/send.py", PLUGIN)
    cli.write("flow.yaml", one_step("send", inputs=f"{{here: '{tmp_path}', die: {die}}}"))
    env = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}

    def run_and_show() -> None:
        first = cli.run("run", "flow.yaml", "--run-id", "r", env=env)
        assert first.code == (0 if die == "never" else -9), first
        if die == "never":
            return
        shown = cli.run("runs", "show", "r").out
        assert "done: send 1\n      done: send 2\n" in shown
        assert "not confirmed, intended 20" in shown
        assert [
            one["confirmed_at"] is None for one in cli.run("runs", "show", "r", "--json").json()["effects"]
        ] == [
            False,
            False,
            True,
        ]
        assert cli.run("run", "flow.yaml", "--run-id", "r", env=env).code == 0

    await anyio.to_thread.run_sync(run_and_show)
    assert (tmp_path / "log").read_text() == log
    assert cli.query("SELECT outputs ->> 'bytes' FROM step_state") == [(size,)]
    assert "not confirmed" not in cli.run("runs", "show", "r").out


async def test_a_change_that_the_other_side_refused_is_shown_as_not_done(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    cli.write(
        "plugins/send.py",
        """
from aetherflow import NOT_DONE, StepContext, StepError, step

@step("send")
async def send(context: StepContext, inputs: dict) -> None:
    async with context.effect("send 1") as sent:
        sent.result = {NOT_DONE: "550 no such user"}
    raise StepError("refused")
""",
    )
    cli.write("flow.yaml", one_step("send"))
    env = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}

    def run_and_show() -> str:
        assert cli.run("run", "flow.yaml", "--run-id", "r", env=env).code == 1
        return cli.run("runs", "show", "r").out

    shown = await anyio.to_thread.run_sync(run_and_show)
    assert "      not done: send 1: 550 no such user\n" in shown
    assert " done: send 1\n" not in shown
