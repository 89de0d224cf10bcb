"""Completion as shells ask for it: words of runs, flows, types and codes; silent, and it creates nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.cli.main import run_command_line
from tests.cli.command_line import FAILS, OK, CommandLine, imported_modules

RUN = "scheduled__2026-01-01T00:00:00+00:00"
SCHEDULE = "version: 1\nid: s\nitems: [{id: nightly, cron: '0 3 * * *', flow_yaml: flow.yaml}]\n"
FLOW = OK.replace("flow: {id: f}", "flow: {id: f, params: {day: {type: string, default: x}}}").replace(
    "jobs:\n", "jobs:\n  - {id: 2nd, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}\n"
)


NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""Lets the option name the shell; otherwise it is the one that started the process."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with a flow, a schedule, and three runs of which two failed."""
    cli = CommandLine(tmp_path_factory.mktemp("completion"))
    cli.write("flow.yaml", FLOW)
    cli.write("fails.yaml", FAILS.replace("id: f}", "id: g}"))
    cli.write("s.yaml", SCHEDULE)
    cli.write("broken.yaml", "jobs: [")
    cli.write("plugins/noisy.py", "print('loaded'); import sys; print('loaded', file=sys.stderr)")
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.folder / "plugins")
    for file, run_id in (("fails.yaml", RUN), ("fails.yaml", "broken"), ("flow.yaml", "done")):
        cli.run("run", file, "--run-id", run_id)
    assert cli.run("pools", "set", "lanes", "2").code == 0
    return cli


def of_bash(line: str) -> dict[str, str]:
    """Return what bash sets for a line whose last word is not complete; `:` splits words."""
    words = line.replace(":", " : ").split(" ")
    return {
        "_AETHERFLOW_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }


@pytest.fixture
def offered_here(
    place: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], list[str]]:
    """Answer a bash in this process."""
    monkeypatch.chdir(place.folder)

    def ask(line: str) -> list[str]:
        for name, value in (place.env | of_bash(line)).items():
            monkeypatch.setenv(name, value)
        assert run_command_line([]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return [word for word in shown.out.splitlines() if word]

    return ask


def offered(cli: CommandLine, line: str, *, env: dict[str, str] | None = None) -> list[str]:
    """Return what bash gets from the installed command."""
    result = cli.run(env=of_bash(line) | (env or {}))
    assert result.err == ""
    return [word for word in result.out.splitlines() if word]


OFFERS = {
    "aetherflow runs show ": ["done", "broken", RUN],
    "aetherflow runs show sched": [RUN],
    "aetherflow runs show d": ["done"],
    "aetherflow logs br": ["broken"],
    "aetherflow runs retry ": ["broken", RUN],
    "aetherflow runs cancel ": [],
    "aetherflow run flow.yaml --run-id ": ["done"],
    "aetherflow run fails.yaml --run-id b": ["broken"],
    "aetherflow run flow.yaml --flow-job ": ["2nd", "a"],
    "aetherflow run flow.yaml --rerun 2nd": ["2nd", "2nd.s"],
    "aetherflow run flow.yaml --param ": ["day="],
    "aetherflow run flow.yaml --log-format j": ["json"],
    "aetherflow run broken.yaml --flow-job ": [],
    "aetherflow run nothing.yaml --flow-job ": [],
    "aetherflow runs retry broken --only ": ["a"],
    "aetherflow runs retry broken --from a": ["a", "a.s"],
    "aetherflow runs list --status f": [],
    "aetherflow runs list --status F": ["FAILED"],
    "aetherflow runs list --flow ": ["f", "g"],
    "aetherflow steps show ch": ["check_items"],
    "aetherflow connectors show db": [
        "db:duckdb",
        "db:exasol",
        "db:mssql",
        "db:mysql",
        "db:oracledb",
        "db:postgres",
        "db:sqlalchemy",
        "db:sqlite3",
    ],
    "aetherflow explain-code AF10": ["AF100", "AF101", "AF102", "AF103", "AF104", "AF105", "AF106", "AF107"],
    "aetherflow help tut": ["tutorial"],
    "aetherflow help check_": ["check_items"],
    "aetherflow help AF11": ["AF110", "AF111", "AF112", "AF113", "AF114"],
    "aetherflow scheduler fire --file s.yaml n": ["nightly"],
    "aetherflow pools set l": ["lanes"],
    "aetherflow pools remove ": ["lanes"],
    "aetherflow locks release ": [],
    "aetherflow schema --kind sch": ["scheduler"],
}


@pytest.mark.parametrize("line", OFFERS)
def test_a_shell_is_offered_what_there_is(offered_here: Callable[[str], list[str]], line: str) -> None:
    found = offered_here(line)

    if line.startswith(("aetherflow explain-code", "aetherflow help AF")):
        assert {*found} >= {*OFFERS[line]}
        assert all(word.startswith(line.rpartition(" ")[2]) for word in found)
    else:
        assert sorted(found) == sorted(OFFERS[line])


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ("scheduled__2026-01-01T00:", "00:00+00:00"),
        ("scheduled__2026-01-01T00:0", "00:00+00:00"),
        ("scheduled__2026-01-01T00:00:00+00:0", "00"),
    ],
)
def test_bash_splits_a_run_id_at_its_colons_and_gets_the_last_part(
    offered_here: Callable[[str], list[str]], typed: str, rest: str
) -> None:
    assert offered_here(f"aetherflow runs show {typed}") == [rest]
    assert offered_here(f"aetherflow runs retry {RUN} --only ") == ["a"]


def test_a_real_bash_completes_a_word(place: CommandLine) -> None:
    script = (
        'eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 aetherflow --show-completion bash)"\n'
        "COMP_WORDS=(aetherflow runs show 'scheduled__2026-01-01T00' : 00)\n"
        "COMP_CWORD=5\n_aetherflow_completion aetherflow\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    result = place.bash(script)

    assert (result.out, result.err) == ("00:00+00:00\n", "")


def test_zsh_and_fish_get_a_word_about_each(place: CommandLine) -> None:
    words = "aetherflow runs show d"
    zsh = place.run(env={"_AETHERFLOW_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words})
    fish = place.run(
        env={
            "_AETHERFLOW_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_ARGS": words,
        }
    )

    assert '"done":"SUCCESS f 20' in zsh.out
    assert fish.out.startswith("done\tSUCCESS f 20")


def test_a_completion_creates_nothing_and_is_silent_without_a_database(
    cli: CommandLine, tmp_path: Path
) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE t (x)")
    for line in ("aetherflow runs show ", "aetherflow run nothing.yaml --run-id ", "aetherflow pools set "):
        assert offered(cli, line) == []
    assert offered(cli, f"aetherflow runs show --state {other} ") == []
    assert offered(cli, "aetherflow runs show ", env={"AETHERFLOW_LOG_LEVEL": "LOUD"}) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.sqlite"]


def test_a_completion_of_a_command_imports_no_command(cli: CommandLine) -> None:
    cli.env |= {
        "_AETHERFLOW_COMPLETE": "complete_bash",
        "COMP_WORDS": "aetherflow\nruns\nsh",
        "COMP_CWORD": "2",
    }

    found = imported_modules(cli)

    assert "aetherflow.cli.completion" in found
    assert not {name for name in found if name.startswith(("aetherflow.spec", "aetherflow.cli.runs"))}


def test_installing_writes_the_script_of_the_shell(cli: CommandLine) -> None:
    result = cli.run(
        "--install-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    )

    assert result.code == 0, result
    assert "complete_bash" in (cli.folder / ".bash_completions" / "aetherflow.sh").read_text()
