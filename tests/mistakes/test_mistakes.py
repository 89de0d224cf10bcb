"""Each mistake is found before the run, with its place, the line, and a hint that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.check.schedule_advice import advise_items
from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import check_schedule_file
from aetherflow.testing import run_flow
from tests.mistakes import commands, keys, lists, schedules, values, yaml_traps
from tests.mistakes.mistake import ITEMS, Mistake, flow

MISTAKES = [one for table in (yaml_traps, keys, values, lists, commands, schedules) for one in table.MISTAKES]
ENV = {"HOME": "/home/me"}


def found(text: str, folder: Path, *, is_schedule: bool) -> list[Diagnostic]:
    """Return what `validate` finds in a file."""
    (folder / "flow.yaml").write_text(flow(f"- id: a\n  {ITEMS}"), encoding="utf-8")
    file = folder / ("schedule.yaml" if is_schedule else "mistake.yaml")
    file.write_text(text, encoding="utf-8")
    env = {**ENV, "AETHERFLOW_STATE_ROOT": str(folder)}
    try:
        if not is_schedule:
            return load_checked_flow(file, env).diagnostics
        checked = check_schedule_file(file)
        advise_items(checked.schedule, checked.sink)
        check_item_flows(checked, env)
    except InvalidInput as error:
        return list(error.diagnostics)
    return checked.diagnostics


@pytest.mark.parametrize("mistake", MISTAKES, ids=[one.of for one in MISTAKES])
def test_a_mistake_is_found_with_place_line_and_hint(mistake: Mistake, tmp_path: Path) -> None:
    diagnostics = found(mistake.text, tmp_path, is_schedule=mistake.is_schedule)

    told = [
        one for one in diagnostics if one.code == mistake.code and (one.line, one.column) == mistake.place
    ]
    assert told, "\n".join(map(str, diagnostics))
    assert mistake.says in told[0].message
    assert mistake.hint in told[0].hint
    line, caret = told[0].excerpt.splitlines()
    marked = mistake.file.splitlines()[told[0].line - 1].partition("▶")[2]
    assert line[caret.index("^") :].startswith(marked.expandtabs(4)[:10].rstrip())
    assert {one.code for one in diagnostics} <= {mistake.code, *mistake.also}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[one.of for one in MISTAKES])
def test_a_file_is_valid_after_the_hint_was_followed(mistake: Mistake, tmp_path: Path) -> None:
    assert list(map(str, found(mistake.mended, tmp_path, is_schedule=mistake.is_schedule))) == []


def test_the_table_is_large_and_names_each_mistake_once() -> None:
    assert len({one.of for one in MISTAKES}) == len(MISTAKES) >= 60


CHEAP = [one for one in MISTAKES if not one.is_schedule and "external.process" not in one.mended][::4]
"""One of four mended flows that start no program: a run costs more than all checks."""


@pytest.mark.asyncio
async def test_mended_flows_run(tmp_path: Path) -> None:
    for number, mistake in enumerate(CHEAP):
        run = await run_flow(mistake.mended, new_folder(tmp_path, number), env={"STAGE": "test"})
        assert run.status == "SUCCESS", (mistake.of, run.logged)


def new_folder(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder
