"""Large output values are files with a reference in the event; who reads them sees the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.engine.state import JobState, RunState, StepState
from aetherflow.errors import StateError
from aetherflow.execution.output_files import LARGE_BYTES, OutputFiles

BIG = "x" * (LARGE_BYTES + 1)
ROWS = [{"number": number, "text": "y" * 100} for number in range(4000)]


def state_of(outputs: dict[str, Any]) -> RunState:
    step = StepState(status="SUCCESS", outputs=outputs)
    return RunState(jobs={"a": JobState(status="SUCCESS", outputs=outputs, steps={"s": step})})


@pytest.mark.asyncio
async def test_small_outputs_stay_as_they_are_and_write_nothing(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path / "run")
    outputs = {"rows": 3, "text": "x" * 1000}
    assert await large.set_aside(outputs) is outputs
    assert not (tmp_path / "run").exists()


@pytest.mark.asyncio
async def test_many_small_values_stay_even_if_they_are_much_together(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path)
    outputs = {f"k{number}": "x" * 10_000 for number in range(40)}
    assert await large.set_aside(outputs) == outputs


@pytest.mark.asyncio
async def test_a_large_value_becomes_a_file_and_is_seen_as_it_was(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path)
    kept = await large.set_aside({"rows": ROWS, "count": 4000})
    assert kept["count"] == 4000
    assert kept["rows"].keys() == {"$file", "bytes"}
    assert (tmp_path / kept["rows"]["$file"]).stat().st_size == kept["rows"]["bytes"]
    assert large.resolve(kept) == {"rows": ROWS, "count": 4000}


@pytest.mark.asyncio
async def test_one_value_that_is_passed_on_is_stored_once(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path)
    first = await large.set_aside({"a": BIG})
    second = await large.set_aside({"b": BIG})
    assert first["a"] == second["b"]
    assert len(list((tmp_path / "outputs").iterdir())) == 1


@pytest.mark.asyncio
async def test_a_resumed_run_sees_what_the_first_one_saw(tmp_path: Path) -> None:
    kept = await OutputFiles(tmp_path).set_aside({"text": BIG})
    gathered = {"each": [kept["text"], "small", None]}
    resumed = OutputFiles(tmp_path)
    await resumed.load(state_of({**kept, **gathered}))
    assert resumed.resolve(kept) == {"text": BIG}
    assert resumed.resolve(gathered) == {"each": [BIG, "small", None]}


@pytest.mark.asyncio
async def test_a_step_s_own_mapping_that_looks_like_a_reference_stays_its_own(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path)
    await large.set_aside({"text": BIG})
    own = {"value": {"$file": "elsewhere", "more": 1}}
    assert large.resolve(own) == own
    await large.load(state_of(own))


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", ["gone", "cut short", "changed"])
async def test_a_missing_or_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    kept = await OutputFiles(tmp_path).set_aside({"text": BIG})
    file = tmp_path / kept["text"]["$file"]
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-10] if damage == "cut short" else content.replace(b"x", b"z", 1))
    with pytest.raises(StateError) as caught:
        await OutputFiles(tmp_path).load(state_of(kept))
    assert str(file) in caught.value.message
    assert caught.value.code == "AF607"
    assert caught.value.hint == "restore the file, or add --from a.s, which yields it again"
