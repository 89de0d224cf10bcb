"""One attempt of a step: what goes in, what comes out, and what is said of an error."""

from __future__ import annotations

import errno
import json
import math
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import AetherFlowError, ErrorInfo, FailureKind, StepError
from aetherflow.execution.backoff import next_wait
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.step_failure import describe
from aetherflow.spec.flow import RetrySpec
from tests.execution.live_run import LiveRun, flow, live, one_step, query


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs with types."""

    count: int
    when: bool = False
    names: list[str] = []


class Renamed(msgspec.Struct, rename="camel"):
    """Outputs with names of their own."""

    row_count: int
    never_set: str | msgspec.UnsetType = msgspec.UNSET


async def outcome(folder: Path, function: Callable[..., Any], **flow_parts: str) -> LiveRun:
    """Run a flow of one step and return the run."""
    async with live(one_step(**flow_parts), folder, {"t": function}) as run:
        await run.run()
    return run


async def error_of(folder: Path, function: Callable[..., Any], **flow_parts: str) -> ErrorInfo:
    """Run a flow of one step that fails and return its error, as the file has it too."""
    run = await outcome(folder, function, **flow_parts)
    found = run.step("a.s").error
    assert isinstance(found, ErrorInfo)
    assert msgspec.json.decode(query(folder, "SELECT error FROM step_state")[0][0], type=ErrorInfo) == found
    return found


def raising(error: BaseException) -> Callable[..., Awaitable[None]]:
    """Return a step that raises."""

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise error

    return step


def returning(value: object) -> Callable[..., Awaitable[Any]]:
    """Return a step that returns a value."""

    async def step(context: StepContext, inputs: dict[str, Any]) -> Any:
        del context, inputs
        return value

    return step


# ---- inputs


@pytest.mark.asyncio
async def test_inputs_are_converted_to_the_types_of_the_step(tmp_path: Path) -> None:
    seen: list[Typed] = []

    async def typed(context: StepContext, inputs: Typed) -> None:
        del context
        seen.append(inputs)

    await outcome(tmp_path, typed, inputs="{count: '12', when: 'true', names: [a]}")
    assert seen == [Typed(12, when=True, names=["a"])]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("{count: x}", "Expected `int`, got `str` - at `$.count`"),
        ("{}", "Object missing required field `count`"),
        ("{count: 1, other: 2}", "Object contains unknown field `other`"),
    ],
)
async def test_inputs_that_do_not_fit_fail_the_step_before_it_begins(
    tmp_path: Path, inputs: str, problem: str
) -> None:
    async def typed(context: StepContext, inputs: Typed) -> None:
        raise AssertionError((context, inputs))

    error = await error_of(tmp_path, typed, inputs=inputs)
    assert (error.code, error.message) == ("AF706", f"the inputs of t do not fit: {problem}")
    assert error.hint == "see: aetherflow steps show t"


@pytest.mark.asyncio
async def test_a_missing_value_in_a_template_fails_the_step_before_it_begins(tmp_path: Path) -> None:
    error = await error_of(tmp_path, returning(None), inputs="{x: '{{env.NOT_SET}}'}")
    assert "env.NOT_SET" in error.message


@pytest.mark.asyncio
async def test_a_step_that_changes_its_inputs_changes_nobody_elses(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def greedy(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(msgspec.json.decode(msgspec.json.encode(inputs)))
        inputs["list"].clear()
        inputs.pop("constant")["deep"].append("changed")
        if context.attempt == 1 and context.step_id == "two":
            raise StepError("again")
        return {"files": ["x", "y"]}

    steps = (
        "{id: one, type: t, inputs: {list: [1], constant: {deep: [1]}},"
        " outputs: {files: '{{result.files}}'}},"
        " {id: two, type: t, retry: {max_attempts: 2},"
        " inputs: {list: '{{steps.one.files}}', constant: {deep: [1]}}},"
        " {id: three, type: t,"
        " inputs: {list: '{{steps.one.files}}', constant: {deep: '{{job.outputs.files}}'}}}"
    )
    async with live(flow(f"{{id: a, steps: [{steps}]}}"), tmp_path, {"t": greedy}) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert [one["list"] for one in seen] == [[1], ["x", "y"], ["x", "y"], ["x", "y"]]
    assert [one["constant"]["deep"] for one in seen] == [[1], [1], [1], ["x", "y"]]


# ---- results


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("returned", "outputs"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        (Renamed(3), {"rowCount": 3}),
        (StepResult(outputs={"b": [None]}), {"b": [None]}),
        (StepResult(), {}),
    ],
)
async def test_a_step_may_return_nothing_a_mapping_a_struct_or_a_result(
    tmp_path: Path, returned: object, outputs: Mapping[str, Any]
) -> None:
    run = await outcome(tmp_path, returning(returned))
    assert (run.step("a.s").status, run.step("a.s").outputs) == ("SUCCESS", outputs)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ([1], "list"),
        ("text", "str"),
        (object, "type"),
        (StepResult(status="DONE"), "a StepResult with status 'DONE' and dict outputs"),  # type: ignore[arg-type]  # junk
        (
            StepResult(outputs=["a"]),  # type: ignore[arg-type]  # junk
            "a StepResult with status 'SUCCESS' and list outputs",
        ),
    ],
)
async def test_a_step_that_returns_junk_fails_and_its_type_is_named(
    tmp_path: Path, returned: object, what: str
) -> None:
    error = await error_of(tmp_path, returning(returned))
    assert (error.code, error.message) == ("AF705", f"the step type t returned {what}")


@pytest.mark.asyncio
async def test_outputs_that_refer_to_themselves_fail_the_step(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    error = await error_of(tmp_path, returning({"x": endless}))
    assert error.code == "AF707"
    assert error.message.startswith("the outputs cannot be written as JSON")


@pytest.mark.asyncio
async def test_a_promoted_output_that_does_not_exist_fails_the_step(tmp_path: Path) -> None:
    error = await error_of(tmp_path, returning({"rows": 1}), more="outputs: {n: '{{result.row}}'}")
    assert "result.row" in error.message


# ---- errors


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_step_that_leaves_the_program_fails_and_the_run_continues(
    tmp_path: Path, *, is_async: bool
) -> None:
    def leave(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise SystemExit(3)

    async def leave_async(context: StepContext, inputs: dict[str, Any]) -> None:
        leave(context, inputs)

    error = await error_of(tmp_path, leave_async if is_async else leave)
    assert (error.code, error.message) == ("AF701", "the step called sys.exit(3)")


class Mute(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.asyncio
async def test_what_is_wrong_with_an_error_itself_does_not_hurt_the_run(tmp_path: Path) -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless
    cases = {
        "mute": (Mute(), "Mute: its text cannot be read (RuntimeError)", {}),
        "kind": (StepError("odd", kind="bogus"), "odd", {}),  # type: ignore[arg-type]  # junk
        "endless": (StepError("deep", detail=endless), "deep", {}),
        "list": (StepError("list", detail=[1]), "list", {}),  # type: ignore[arg-type]  # junk
        "object": (StepError("path", detail={"p": Path("/x"), "1": {2}}), "path", {"p": "/x", "1": [2]}),
        "surrogate": (StepError("a\udcff", detail={"p": "b\ud800"}), "a\\udcff", {"p": "b\\ud800"}),
        "number": (StepError(7), "7", {}),  # type: ignore[arg-type]  # junk
    }
    for name, (error, message, detail) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        info = await error_of(folder, raising(error))
        assert (name, info.message, info.detail, info.kind) == (name, message, detail, "other")


@pytest.mark.asyncio
async def test_an_exception_group_is_described_by_its_cause(tmp_path: Path) -> None:
    async def connect() -> None:
        raise StepError("no such host", kind="connection", code="AF799")

    async def groups(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
            outer.start_soon(anyio.lowlevel.checkpoint)
            inner.start_soon(connect)

    error = await error_of(tmp_path, groups)
    assert (error.code, error.message, error.kind) == ("AF799", "no such host", "connection")


def test_of_several_causes_the_first_is_described_and_the_others_are_named() -> None:
    group = ExceptionGroup(
        "tasks", [StepError("first", code="AF1"), ExceptionGroup("x", [ValueError("v"), ValueError("v")])]
    )
    assert describe(group) == ErrorInfo(code="AF1", message="first (and 2 more: ValueError: v)")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (OSError(errno.ETIMEDOUT, "slow"), "timeout"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "connection"),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "connection"),
        (OSError(errno.EHOSTUNREACH, "no route"), "connection"),
        (anyio.BrokenResourceError(), "connection"),
        (OSError(errno.ENOSPC, "full"), "other"),
        (ValueError("x"), "other"),
        (StepError("x", kind="exit_code"), "exit_code"),
        (AetherFlowError("x"), "other"),
    ],
)
def test_an_error_has_the_kind_that_retry_on_selects_by(error: BaseException, kind: FailureKind) -> None:
    assert describe(error).kind == kind


def test_an_error_without_text_is_reported_by_its_type() -> None:
    assert describe(KeyError()).message == "KeyError: no further message"


# ---- waiting


FAILED = ErrorInfo(code="AF700", message="no", kind="connection")


@pytest.mark.parametrize(
    ("spec", "waits"),
    [
        (RetrySpec(max_attempts=1), [None]),
        (RetrySpec(max_attempts=3, jitter=False), [0, 0, None]),
        (RetrySpec(max_attempts=5, backoff_seconds=5, jitter=False), [5, 10, 20, 40, None]),
        (RetrySpec(max_attempts=4, backoff_seconds=5, backoff_multiplier=1, jitter=False), [5, 5, 5, None]),
        (
            RetrySpec(max_attempts=5, backoff_seconds=5, max_backoff_seconds=12, jitter=False),
            [5, 10, 12, 12, None],
        ),
        (RetrySpec(max_attempts=2, backoff_seconds=8, retry_on=["timeout"], jitter=False), [None]),
        (RetrySpec(max_attempts=2, backoff_seconds=8, retry_on=["timeout", "connection"]), [6]),
    ],
)
def test_the_waits_between_attempts(spec: RetrySpec, waits: list[float | None]) -> None:
    assert [next_wait(spec, n + 1, FAILED, lambda: 0.5) for n in range(len(waits))] == waits


@given(
    spec=st.builds(
        RetrySpec,
        max_attempts=st.just(10_000),
        backoff_seconds=st.floats(0, 1e8),
        backoff_multiplier=st.floats(1, allow_infinity=True, allow_nan=False),
        max_backoff_seconds=st.floats(0, 1e8),
        jitter=st.booleans(),
    ),
    attempt=st.integers(1, 9_999),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_longer_than_its_limit_nor_shorter_than_half_of_what_is_due(
    spec: RetrySpec, attempt: int, chance: float
) -> None:
    wait = next_wait(spec, attempt, FAILED, lambda: chance)
    due = next_wait(msgspec.structs.replace(spec, jitter=False), attempt, FAILED)
    assert wait is not None
    assert due is not None
    assert math.isfinite(wait)
    assert due / 2 <= wait <= due <= spec.max_backoff_seconds
    assert spec.jitter or wait == due
    if attempt > 1:
        before = next_wait(msgspec.structs.replace(spec, jitter=False), attempt - 1, FAILED)
        assert before is not None
        assert before <= due


def test_without_backoff_nothing_is_waited_for_whatever_the_multiplier() -> None:
    spec = RetrySpec(max_attempts=99, backoff_multiplier=math.inf)
    assert next_wait(spec, 70, FAILED) == 0


@pytest.mark.asyncio
async def test_a_step_inside_a_step_has_its_own_id_and_the_attempt_of_the_outer_one(tmp_path: Path) -> None:
    seen: list[str] = []

    async def inner(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(f"{context.step_id} {context.step_type} {context.attempt} {context.idempotency_key}")
        return inputs

    def inner_sync(context: StepContext, inputs: Typed) -> dict[str, Any]:
        seen.append(f"{context.step_id} {context.stopping}")
        return {"count": inputs.count}

    async def outer(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        one = await context.run_nested_step(step_id="in", step_type="inner", inputs={"x": "{{not.rendered}}"})
        two = await context.run_nested_step(step_id="deep", step_type="sync", inputs={"count": "3"})
        return {**one.outputs, **two.outputs}

    steps: dict[str, Callable[..., Any]] = {"t": outer, "inner": inner, "sync": inner_sync}
    async with live(one_step(), tmp_path, steps) as run:
        await run.run()
    assert run.step("a.s").outputs == {"x": "{{not.rendered}}", "count": 3}
    assert seen == ["s.in inner 1 run-1/a/s.in", "s.deep False"]


def test_an_error_without_a_hint_says_where_the_code_of_the_step_raised_it() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        found = describe(error)
        line = error.__traceback__.tb_lineno if error.__traceback__ else 0
    assert found.hint == f"raised at {__file__}:{line}; --debug shows the whole traceback"
    assert describe(ValueError("never raised")).hint == ""
    assert describe(StepError("reported", hint="mine")).hint == "mine"
