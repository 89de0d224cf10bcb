"""Every code has a case, and its exact text is kept in `snapshots/CODE.txt`.

AETHERFLOW_SNAPSHOTS=write rewrites the texts; look at the difference before it is committed.
"""

from __future__ import annotations

import os
import re
from inspect import iscoroutinefunction
from pathlib import Path

import anyio
import pytest

from aetherflow.cli.main import run_command_line
from aetherflow.cli.printing import print_error
from aetherflow.errors import AetherFlowError
from aetherflow.manual.error_codes import all_codes
from tests.cli.command_line import CommandLine, Result
from tests.diagnostics import (
    cases_archive,
    cases_bundles,
    cases_configuration,
    cases_data,
    cases_excel,
    cases_executors,
    cases_files,
    cases_language,
    cases_migration,
    cases_scheduler,
    cases_state,
    cases_steps,
    cases_transfer,
    cases_writing,
)
from tests.diagnostics.case import VALIDATE, Case, Told
from tests.diagnostics.elsewhere import ELSEWHERE

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).parent / "snapshots"
CASES: dict[str, Case | Told] = {
    **cases_files.CASES,
    **cases_language.CASES,
    **cases_migration.CASES,
    **cases_configuration.CASES,
    **cases_state.CASES,
    **cases_steps.CASES,
    **cases_bundles.CASES,
    **cases_scheduler.CASES,
    **cases_archive.CASES,
    **cases_transfer.CASES,
    **cases_data.CASES,
    **cases_excel.CASES,
    **cases_executors.CASES,
    **cases_writing.CASES,
}
CHANGING = (
    (re.compile(r"^\d{4}-\d\d-\d\dT\S+ (?=(DEBUG|INFO|WARN|ERROR)\b)", re.MULTILINE), ""),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "TIME"),
    (re.compile(r"\bin \d+\.\d\d s\b"), "in N s"),
    (re.compile(r"\b(pid|process) \d+( on \S+)?"), r"\1 N"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "HASH"),
    (re.compile(r"/\S*/site-packages/"), "SITE/"),
    (re.compile(r"(in the PATH of the step: )\S+"), r"\1PATH"),
    (re.compile(r"(than this AetherFlow knows) \(\d+\)"), r"\1 (N)"),
)
SUMMARY = re.compile(r"^\S+ (INFO |WARN |ERROR) run \S+ of \S+  (?=failed: | )", re.MULTILINE)
"""How the lines of a summary begin in a log."""
PLAIN = re.compile(r"aetherflow (?P<words>[\w./=:, -]+)")
"""A script that is one command, without anything that a shell would replace."""
KEEPS_TO_ITSELF = re.compile(r"\b(cd|for|python)\b")
"""What only a whole script means: its parts share a folder or a loop, or `; ` does not part them."""


def told_by_command(case: Case, cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> str:
    """Type what the case says and return what is printed.

    Most cases only validate a file; without plugins, which stay loaded, this process can do so in less time.
    """
    for name, text in {"flow.yaml": case.flow, **case.files}.items():
        if text or name != "flow.yaml":
            cli.write(name, text)
    cli.state.parent.mkdir()
    env = {"STATE": str(cli.state), **case.env}
    if case.script == VALIDATE and not any(name.endswith(".py") for name in case.files):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cli.folder)
            patch.setattr(os, "environ", cli.env | env)
            run_command_line(VALIDATE.split()[1:])
        printed = capsys.readouterr()
        return printed.out + printed.err
    commands = [case.script] if KEEPS_TO_ITSELF.search(case.script) else case.script.split("; ")
    result = [typed(command, cli, env) for command in commands][-1]
    return result.out + result.err


def typed(script: str, cli: CommandLine, env: dict[str, str]) -> Result:
    """Type a script; a single command without a shell, so that it may start warm."""
    plain = PLAIN.fullmatch(script)
    return cli.run(*plain["words"].split(), env=env) if plain else cli.bash(script, env=env)


def told_by_function(case: Told, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Call the function of the case and return what is printed of its error, or what the error is."""
    try:
        error = anyio.run(case.by, folder) if iscoroutinefunction(case.by) else case.by(folder)
    except AetherFlowError as raised:
        print_error(raised)
        error = None
    printed = capsys.readouterr()
    if isinstance(error, str):
        return error
    return printed.out + printed.err if error is None else f"{type(error).__name__} {error.info()}"


def paragraph(text: str, code: str) -> str:
    """Return the first line that names the code, with the indented lines that belong to it.

    What failed in a run is in its summary, with all its lines.
    """
    lines = SUMMARY.sub("", text).splitlines()
    named = [number for number, line in enumerate(lines) if code in line]
    assert named, f"{code} is not reported:\n{text}"
    first = next((number for number in named if lines[number].startswith("failed: ")), named[0])
    last = first + 1
    while last < len(lines) and lines[last].startswith("  "):
        last += 1
    return "\n".join(lines[first:last]) + "\n"


@pytest.mark.parametrize("code", CASES)
def test_the_text_of_a_code(code: str, cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES[code]
    text = (
        told_by_command(case, cli, capsys)
        if isinstance(case, Case)
        else told_by_function(case, cli.folder, capsys)
    )
    assert "Traceback" not in text

    reported = paragraph(text.replace(str(cli.folder), "DIR"), code)
    for pattern, word in CHANGING:
        reported = pattern.sub(word, reported)

    path = SNAPSHOTS / f"{code}.txt"
    if os.environ.get("AETHERFLOW_SNAPSHOTS") == "write":
        path.write_text(reported, encoding="utf-8")
    assert path.exists(), "AETHERFLOW_SNAPSHOTS=write writes it"
    assert reported == path.read_text(encoding="utf-8")


def test_every_code_has_a_case_or_a_test_elsewhere() -> None:
    assert sorted(all_codes().keys() - CASES.keys() - ELSEWHERE.keys()) == []


def test_no_case_is_of_a_code_that_does_not_exist_and_none_is_kept_twice() -> None:
    assert sorted((CASES.keys() | ELSEWHERE.keys()) - all_codes().keys()) == []
    assert sorted(CASES.keys() & ELSEWHERE.keys()) == []
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(CASES)


@pytest.mark.parametrize("code", ELSEWHERE)
def test_a_test_elsewhere_shows_the_code(code: str) -> None:
    why, file = ELSEWHERE[code]

    assert why
    assert code in (ROOT / file).read_text(encoding="utf-8")


def test_those_that_have_no_case_are_few() -> None:
    here = [code for code in all_codes() if not code.startswith("AF3")]  # those of servers need a server
    assert len([code for code in ELSEWHERE if code in here]) < len(here) / 5
