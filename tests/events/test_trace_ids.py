"""Trace ids, span ids and what W3C Trace Context says about the variables that carry them."""

from __future__ import annotations

import pytest

from aetherflow.events.trace_ids import (
    MOST_CHARACTERS,
    MOST_MEMBERS,
    RunTrace,
    checked_traceparent,
    checked_tracestate,
    span_id,
    trace_id,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OUTER = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (OUTER, OUTER),
        (f" {OUTER}\n", OUTER),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"01-{TRACE}-{SPAN}-01", OUTER),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", OUTER),
    ],
)
def test_a_valid_traceparent_is_read_also_of_a_later_version(given: str, read: str) -> None:
    assert checked_traceparent(given) == read


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-\N{ARABIC-INDIC DIGIT ZERO}1",
    ],
)
def test_an_invalid_traceparent_is_none(given: str) -> None:
    assert checked_traceparent(given) == ""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("congo=t61 , 1a@rojo=00f067,,", "congo=t61,1a@rojo=00f067"),
        ("", ""),
        ("congo", ""),
        ("Congo=1", ""),
        ("a=1,a=2", ""),
        ("a=b=c", ""),
        ("a=1\n,b=2", ""),
        (",".join(f"k{n}=v" for n in range(MOST_MEMBERS)), ",".join(f"k{n}=v" for n in range(MOST_MEMBERS))),
        (",".join(f"k{n}=v" for n in range(MOST_MEMBERS + 1)), ""),
        (f"a={'x' * 200},b={'x' * 200},c={'x' * MOST_CHARACTERS}", ""),
        (f"a={'x' * 200},b={'x' * 200},c={'x' * 200}", ""),
    ],
)
def test_a_tracestate_is_passed_on_if_it_is_valid(given: str, read: str) -> None:
    assert checked_tracestate(given) == read


def test_a_program_continues_the_trace_of_its_run_in_the_span_of_its_attempt() -> None:
    trace = RunTrace("flow", "run")

    assert trace.variables("job", "step", 1) == {
        "TRACEPARENT": f"00-{trace_id('flow', 'run')}-{span_id('flow', 'run', 'job', 'step')}-01"
    }


def test_inside_a_trace_its_id_its_flags_and_its_state_are_passed_on() -> None:
    trace = RunTrace("flow", "run", f"00-{TRACE}-{SPAN}-00", "congo=1")

    span = span_id("flow", "run", "job", "step")
    assert trace.variables("job", "step", 1) == {
        "TRACEPARENT": f"00-{TRACE}-{span}-00",
        "TRACESTATE": "congo=1",
    }


def test_attempts_and_executions_have_spans_of_their_own_and_so_have_jobs_and_the_run() -> None:
    first, second = RunTrace("f", "r"), RunTrace("f", "r", execution=2)

    spans = [
        span
        for trace in (first, second)
        for span in (
            trace.span_id(),
            trace.span_id("job"),
            trace.span_id("job", "step"),
            trace.span_id("job", "step", 2),
            trace.span_id("job[0]", "step"),
        )
    ]
    assert len(set(spans)) == len(spans) == 10
    assert first.span_id("job", attempt=7) == first.span_id("job")
    assert first.span_id("job", "step", 0) == first.span_id("job", "step", 1)
