"""Outputs are plain JSON the moment a step ends, so that a resumed run sees what the first one saw."""

from __future__ import annotations

import enum
import math
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from tests.execution.live_run import flow, live, query, stored
from tests.sizes import examples


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


class Inner(msgspec.Struct):
    """A Struct inside of outputs."""

    day: date
    name: str = "n\udcff"


ODD: dict[str, Any] = {
    "date": date(2026, 1, 2),
    "datetime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "naive": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - a naive time is what is tried here
    "time": time(3, 4),
    "span": timedelta(days=1, seconds=2),
    "decimal": Decimal("1.10"),
    "path": Path("/tmp/x"),  # noqa: S108 - never opened
    "bytes": b"\x00\xff",
    "set": {1},
    "tuple": (1, (2, 3)),
    "uuid": uuid.UUID(int=7),
    "enum": Colour.RED,
    "struct": Inner(date(2026, 1, 2)),
    "ordered": OrderedDict(b=1, a=2),
    "proxy": MappingProxyType({"x": MappingProxyType({})}),
    "huge": 2**200,
    "negative": -(2**64),
    "tiny": 5e-324,
    "surrogate": "caf\udce9 \ud800",
    "null": "\x00",
    "keys": {1: "a", None: "b", False: "c", 1.5: "d", date(2026, 1, 2): "e", (1, 2): "f", "g\udcff": "g"},
    "same": {1: "first", "1": "second"},
    "object": range(3),
    "empty": [{}, [], "", None, False],
}
PLAIN: dict[str, Any] = {
    "date": "2026-01-02",
    "datetime": "2026-01-02T03:04:05Z",
    "naive": "2026-01-02T03:04:05",
    "time": "03:04:00",
    "span": "P1DT2S",
    "decimal": "1.10",
    "path": "/tmp/x",  # noqa: S108 - never opened
    "bytes": "AP8=",
    "set": [1],
    "tuple": [1, [2, 3]],
    "uuid": "00000000-0000-0000-0000-000000000007",
    "enum": "red",
    "struct": {"day": "2026-01-02", "name": "n\\udcff"},
    "ordered": {"b": 1, "a": 2},
    "proxy": {"x": {}},
    "huge": 2**200,
    "negative": -(2**64),
    "tiny": 5e-324,
    "surrogate": "caf\\udce9 \\ud800",
    "null": "\x00",
    "keys": {
        "1": "a",
        "None": "b",
        "False": "c",
        "1.5": "d",
        "2026-01-02": "e",
        "(1, 2)": "f",
        "g\\udcff": "g",
    },
    "same": {"1": "second"},
    "object": "range(0, 3)",
    "empty": [{}, [], "", None, False],
}

TEXT = flow(
    "{id: a, steps: [{id: s, type: give, outputs: {all: '{{result.all}}'}},"
    " {id: t, type: take, inputs: {step: '{{steps.s.all}}', job: '{{job.outputs.all}}'}}]}",
    "{id: b, depends_on: [a], when: jobs.a.outputs.all != null,"
    " steps: [{id: t, type: take, inputs: {all: '{{jobs.a.outputs.all}}'}}]}",
)


async def seen_in_two_runs(folder: Path, given_outputs: dict[str, Any]) -> list[list[Any]]:
    """Run a flow whose takers fail the first time; return what they were given in each execution."""
    executions: list[list[Any]] = []
    given_once: list[str] = []

    async def give(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        given_once.append(context.job_id)
        return {"all": given_outputs}

    async def take(context: StepContext, inputs: dict[str, Any]) -> None:
        executions[-1].append(inputs)
        if len(executions) < 3 and (context.job_id == "b" or len(executions) == 1):
            raise StepError("not yet")

    for _ in range(3):
        executions.append([])
        async with live(TEXT, folder, {"give": give, "take": take}) as run:
            state = await run.run()
    assert state.phase == "SUCCESS"
    assert given_once == ["a"]
    return executions


@pytest.mark.asyncio
async def test_what_is_no_json_becomes_text_and_is_the_same_after_a_resume(tmp_path: Path) -> None:
    executions = await seen_in_two_runs(tmp_path, ODD)

    assert executions == [
        [{"step": PLAIN, "job": PLAIN}],
        [{"step": PLAIN, "job": PLAIN}, {"all": PLAIN}],
        [{"all": PLAIN}],
    ]
    outputs = query(tmp_path, "SELECT outputs FROM step_state WHERE step_id = 's'")[0][0]
    assert msgspec.json.decode(outputs) == {"all": PLAIN}
    assert stored(tmp_path).count("step_started a.s") == 1


@pytest.mark.parametrize(
    ("returned", "promoted"),
    [({"all": {"mean": math.nan}}, "{{result.all}}"), ({"all": [math.inf]}, "{{result.all}}")],
)
@pytest.mark.asyncio
async def test_a_number_that_json_does_not_have_fails_the_step_and_is_not_stored_as_null(
    tmp_path: Path, returned: dict[str, Any], promoted: str
) -> None:
    async def give(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del context, inputs
        return returned

    text = flow(f"{{id: a, steps: [{{id: s, type: give, outputs: {{x: '{promoted}'}}}}]}}")
    async with live(text, tmp_path, {"give": give}) as run:
        state = await run.run()

    step = state.jobs["a"].steps["s"]
    assert (step.status, step.outputs) == ("FAILED", {})
    assert step.error is not None
    assert step.error.code == "AF717"


texts = st.text(st.characters())
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=8)
    | st.decimals()
    | st.dates()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


@pytest.mark.asyncio
@examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outputs=st.dictionaries(texts.filter(bool), values, max_size=3))
async def test_any_outputs_are_the_same_after_a_resume(
    tmp_path_factory: pytest.TempPathFactory, outputs: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    outputs["there"] = 1
    first, second, third = await seen_in_two_runs(folder, outputs)
    assert first[0] == second[0]
    assert second[1] == third[0]
    assert third[0]["all"] == first[0]["job"]
