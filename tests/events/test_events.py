from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e

KINDS: tuple[type[e.Event], ...] = (*get_args(e.Journalled), *e.TRANSIENT)
COMMON: dict[str, Any] = {"at": datetime(2026, 1, 1, tzinfo=UTC), "flow_id": "f", "run_id": "r"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
outputs = st.dictionaries(st.text(max_size=6), json_values, max_size=3)
errors = st.none() | st.builds(ErrorInfo, code=st.text(), message=st.text(), detail=outputs)


def test_every_event_is_either_journalled_or_transient_and_has_a_tag_of_its_own() -> None:
    bases = (e.Event, e.JobEvent, e.StepEvent)
    of_runs = {
        kind
        for base in bases
        for kind in base.__subclasses__()
        if kind.__module__ == e.__name__ and kind not in bases
    }
    assert set(KINDS) == of_runs  # a scheduler has events of its own
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(KINDS)
    assert e.StepRetrying.__struct_config__.tag == "step_retrying"


@given(
    status=st.sampled_from(get_args(e.StepEnd)),
    outputs=outputs,
    job_outputs=outputs,
    error=errors,
    reason=st.text(),
)
def test_the_end_of_a_step_survives_the_journal_unchanged(**fields: Any) -> None:
    event = e.StepFinished(**COMMON, job_id="j", step_id="s", step_type="t", **fields)
    assert msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) == event


@given(items=st.none() | st.lists(json_values, max_size=4))
def test_the_items_of_a_job_survive_the_journal_an_empty_list_too(items: list[Any] | None) -> None:
    event = e.JobStarted(**COMMON, job_id="j", items=items)
    assert msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) == event


def test_an_event_is_stored_with_its_tag_and_without_what_is_empty() -> None:
    event = e.JobFinished(**COMMON, job_id="j", status="SKIPPED")
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "event": "job_finished",
        "at": "2026-01-01T00:00:00Z",
        "flow_id": "f",
        "run_id": "r",
        "job_id": "j",
        "status": "SKIPPED",
    }


@pytest.mark.parametrize("kind", e.TRANSIENT)
def test_a_transient_event_cannot_be_read_from_a_journal(kind: type[e.Event]) -> None:
    line = msgspec.json.encode({"event": kind.__struct_config__.tag, "run_id": "r"})
    with pytest.raises(msgspec.ValidationError, match="Invalid value"):
        msgspec.json.decode(line, type=e.Journalled)


def test_an_event_cannot_be_changed() -> None:
    event = e.StepStarted(**COMMON, job_id="j", step_id="s", step_type="t")
    with pytest.raises(AttributeError, match="immutable"):
        event.attempt = 2  # type: ignore[misc]  # that it is refused is the test
