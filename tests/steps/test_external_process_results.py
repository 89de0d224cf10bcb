"""What the program must leave behind: success checks, markers, output folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.events.run_events import Event
from tests.steps.process_context import files_below, process_context, run_step, said, sh


@pytest.mark.parametrize(
    ("success", "problem"),
    [
        ({"require_files": ["there", "missing"]}, "missing file: missing"),
        ({"required_files": "missing"}, "missing file: missing"),
        ({"marker_file": "_SUCCESS"}, "missing file: _SUCCESS"),
        ({"require_glob": "part-*.csv"}, "nothing matches: part-*.csv"),
        ({"required_globs": ["th*", "deep/**/*.csv"]}, "nothing matches: deep/**/*.csv"),
        ({"forbid_files": "there"}, "forbidden file: there"),
        ({"forbidden_files": ["_ERROR", "there"]}, "forbidden file: there"),
    ],
)
@pytest.mark.asyncio
async def test_a_check_that_does_not_hold_fails_the_step(
    tmp_path: Path, success: dict[str, Any], problem: str
) -> None:
    context = process_context(tmp_path)
    with pytest.raises(StepError) as raised:
        await sh(context, "touch there", success=success)
    assert (raised.value.code, raised.value.kind) == ("AF734", "other")
    assert raised.value.message.startswith(f"exit code 0, but {problem}: ")
    assert str(context.artifacts) in raised.value.hint


@pytest.mark.asyncio
async def test_all_checks_that_do_not_hold_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="missing file: a; missing file: b; nothing matches: c\\*"):
        await sh(
            process_context(tmp_path), "true", success={"require_files": ["a", "b"], "require_glob": "c*"}
        )


@pytest.mark.parametrize(
    ("success", "problem"),
    [
        ({"require_files": "dump"}, "{folder}/dump has 999 bytes, less than min_size: 1kB"),
        ({"require_files": ["big", "empty"]}, "{folder}/empty has 0 bytes, less than min_size: 1kB"),
        ({"require_files": "folder"}, "{folder}/folder has 4 bytes, less than min_size: 1kB"),
        ({"require_glob": "b*"}, ""),
        ({"require_glob": "*/part-*"}, "{folder}/folder/part-1 has 4 bytes, less than min_size: 1kB"),
        ({"require_files": "big", "marker_file": "empty"}, ""),
        ({"require_files": "missing"}, "missing file: missing"),
    ],
)
@pytest.mark.asyncio
async def test_a_file_that_is_too_small_is_no_success(
    tmp_path: Path, success: dict[str, Any], problem: str
) -> None:
    context = process_context(tmp_path)
    script = (
        "head -c 999 /dev/zero > dump; head -c 1000 /dev/zero > big; : > empty; "
        "mkdir folder; echo abc > folder/part-1"
    )
    if not problem:
        assert (await sh(context, script, success={**success, "min_size": "1kB"}))["exit_code"] == 0
        return
    with pytest.raises(StepError) as raised:
        await sh(context, script, success={**success, "min_size": "1kB"})
    assert raised.value.code == "AF734"
    assert raised.value.message.startswith(f"exit code 0, but {problem.format(folder=context.artifacts)}: ")


@pytest.mark.asyncio
async def test_a_marker_does_not_bless_a_file_that_is_too_small(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    inputs: dict[str, Any] = {
        "idempotency": {"strategy": "marker", "marker_path": "marker"},
        "success": {"require_files": "data", "min_size": 3},
    }
    await sh(context, "printf abc > data", **inputs)
    (context.artifacts / "data").write_text("")
    assert "skipped" not in await sh(context, "printf abcd > data", **inputs)
    assert (await sh(context, "exit 1", **inputs))["skipped"] is True


@pytest.mark.asyncio
async def test_an_error_lists_the_first_files_that_are_too_small(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"; and 5 more files are too small: sh -c "):
        await sh(
            process_context(tmp_path),
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do : > part-$i; done",
            success={"require_glob": "part-*", "min_size": 1},
        )


@pytest.mark.asyncio
async def test_checks_that_hold_are_a_success(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    script = "mkdir -p d/e; touch a d/e/part-1.csv .hidden _SUCCESS"
    success = {
        "require_files": ["a", str(context.artifacts / "d")],
        "require_glob": ["d/**/*.csv", "d/*/part-?.csv", ".hid*", "a", str(context.artifacts / "d/e/part-*")],
        "forbid_files": "_ERROR",
        "marker_file": "_SUCCESS",
    }
    assert (await sh(context, script, success=success))["exit_code"] == 0


@pytest.mark.asyncio
async def test_a_pattern_below_a_folder_with_brackets_matches(tmp_path: Path) -> None:
    context = process_context(tmp_path / "job[0]")
    pattern = str(context.artifacts / "part-*")
    assert (await sh(context, "touch part-1", success={"require_glob": pattern}))["exit_code"] == 0


@pytest.mark.asyncio
async def test_a_marker_skips_the_program_the_next_time(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    inputs: dict[str, Any] = {
        "command": ["sh", "-c", "echo x >> ran"],
        "idempotency": {"strategy": "marker", "marker_path": "done/marker"},
        "outputs": {"table": "t"},
    }
    first = await run_step(context, **inputs)
    marker = context.artifacts / "done/marker"
    assert first.outputs == {"exit_code": 0, "attempts": 1, "table": "t"}
    assert json.loads(marker.read_text()) == {"run_id": "run-1", "job_id": "job", "step_id": "step"}
    second = await run_step(context, **inputs)
    assert (second.status, second.outputs) == ("SKIPPED", {"skipped": True, "marker": str(marker)})
    assert str(marker) in second.reason
    assert (context.artifacts / "ran").read_text() == "x\n"


@pytest.mark.asyncio
async def test_a_failure_leaves_no_marker(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    with pytest.raises(StepError):
        await sh(context, "exit 1", idempotency={"strategy": "marker", "marker_path": "marker"})
    assert not (context.artifacts / "marker").exists()


@pytest.mark.asyncio
async def test_a_marker_whose_checks_do_not_hold_counts_for_nothing(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    inputs: dict[str, Any] = {
        "idempotency": {"strategy": "marker", "marker_path": "marker"},
        "success": {"require_files": "data"},
    }
    await sh(context, "touch data", **inputs)
    (context.artifacts / "data").unlink()
    with pytest.raises(StepError, match="exit code 1"):
        await sh(context, "touch data; exit 1", **inputs)  # half done: the old marker must not bless it
    assert not (context.artifacts / "marker").exists()
    assert (await sh(context, "touch data", **inputs))["exit_code"] == 0
    assert (await sh(context, "exit 1", **inputs))["skipped"] is True


@pytest.mark.asyncio
async def test_the_marker_file_of_the_success_checks_is_the_default_marker(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    inputs: dict[str, Any] = {"idempotency": {"strategy": "marker"}, "success": {"marker_file": "_SUCCESS"}}
    with pytest.raises(StepError, match="missing file: _SUCCESS"):
        await sh(context, "true", **inputs)
    await sh(context, "echo mine > _SUCCESS", **inputs)
    assert (context.artifacts / "_SUCCESS").read_text() == "mine\n"
    assert (await sh(context, "exit 1", **inputs))["skipped"] is True


@pytest.mark.asyncio
async def test_a_marker_strategy_without_a_marker_runs_and_says_so(tmp_path: Path) -> None:
    events: list[Event] = []
    outputs = await sh(process_context(tmp_path, events), "true", idempotency={"strategy": "marker"})
    assert outputs["exit_code"] == 0
    assert "there is no marker_path" in said(events)


@pytest.mark.asyncio
async def test_a_marker_that_cannot_be_written_fails_the_step(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    with pytest.raises(StepError, match="cannot write the marker") as raised:
        await sh(context, "touch file", idempotency={"strategy": "marker", "marker_path": "file/marker"})
    assert raised.value.code == "AF735"


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        ("", False),
        ('{"run_id": "r", "job_id": "j", "step_id": "s"}', False),
        ("a report", True),
        ("{}", True),
    ],
)
@pytest.mark.asyncio
async def test_a_marker_that_does_not_hold_is_deleted_only_if_it_is_ours(
    tmp_path: Path, content: str, *, stays: bool
) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "done").write_text(content)
    idempotency = {"strategy": "marker", "marker_path": "done"}
    with pytest.raises(StepError):
        await sh(context, "false", idempotency=idempotency, success={"require_files": ["missing"]})
    assert not (context.artifacts / "done").exists()
    assert list(files_below(context.artifacts).values()) == ([content] if stays else [])
