"""Large output values are files with a reference in the event; who reads them sees the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.engine.state import JobState, RunState, StepState
from aetherflow.engine.template_scope import JobsView, StepsView
from aetherflow.errors import StateError
from aetherflow.execution.output_files import LARGE_BYTES, OutputFiles
from aetherflow.language.reference import look_up

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
    assert caught.value.hint == "restore the file, or add --from a.s, which makes it again"


@pytest.mark.asyncio
async def test_only_the_values_used_last_stay_in_memory_and_the_others_are_read_back(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path, cache_bytes=3 * LARGE_BYTES)
    values = [letter * (LARGE_BYTES + 1) for letter in "abcdefgh"]
    stored = [await large.set_aside({"text": value}) for value in values]
    assert len(large._cache) == 2
    assert [large.resolve(outputs)["text"] for outputs in stored] == values
    assert len(large._cache) == 2

    deferred = [large.defer({"text": value + "!"}) for value in values]
    assert len(large._unwritten) == 8
    assert [large.resolve(outputs)["text"] for outputs in deferred] == [value + "!" for value in values]
    await large.write()
    assert large._unwritten == {}
    assert [large.resolve(outputs)["text"] for outputs in deferred] == [value + "!" for value in values]


@pytest.mark.asyncio
async def test_a_value_larger_than_the_memory_for_them_is_there_all_the_same(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path, cache_bytes=10)
    stored = await large.set_aside({"text": BIG, "n": 1})
    assert large.resolve(stored) == {"text": BIG, "n": 1}
    assert len(large._cache) == 1


@pytest.mark.asyncio
async def test_a_value_is_read_only_when_it_is_looked_at(tmp_path: Path) -> None:
    large = OutputFiles(tmp_path, cache_bytes=10)
    stored = await large.set_aside({"text": BIG, "n": 1})
    await large.set_aside({"other": BIG + "y"})  # it takes the place in memory
    (tmp_path / stored["text"]["$file"]).unlink()

    state = state_of(stored)
    names = {"jobs": JobsView(state, ["a"], large.resolve)}
    scope = StepsView(state.jobs["a"], large.resolve)
    assert look_up(names, ("jobs", "a", "outputs", "n")) == 1
    assert look_up(scope, ("s", "n")) == look_up(scope, ("s", "outputs", "n")) == 1
    assert look_up(scope, ("s", "status")) == "SUCCESS"
    with pytest.raises(StateError, match="cannot be read"):
        look_up(scope, ("s", "text"))


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [["a"], 7, "outputs/none.json", "../../etc/passwd"])
async def test_what_only_looks_like_a_reference_is_never_read(tmp_path: Path, name: object) -> None:
    large = OutputFiles(tmp_path)
    await large.set_aside({"text": BIG})
    own = {"value": {"$file": name, "bytes": 1}, "list": [{"$file": name, "bytes": 1}]}
    assert large.resolve(own) == own
    await OutputFiles(tmp_path).load(state_of(own))
