"""`just bench` prints a table, keeps a history and compares with it: tiny sizes, no time is asserted."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).with_name("run.py")


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks against other programs with one job, on a machine that has none of them."""
    small = ["rivals", "--jobs", "1", "--rounds", "1", "--rivals", str(folder / "nothing")]
    return subprocess.run(
        [sys.executable, str(RUN), *small, *words], check=False, capture_output=True, text=True, cwd=folder
    )


def test_the_table_has_a_row_for_each_rival_also_for_those_that_are_not_installed(tmp_path: Path) -> None:
    done = bench(tmp_path, "--rounds", "2")

    assert done.returncode == 0, done.stderr
    measured = re.findall(r"^1 jobs of one step.* (\d+\.\d\d)x", done.stdout, re.MULTILINE)
    assert len(measured) == 1, done.stdout
    assert float(measured[0]) > 0
    missing = re.findall(
        r"^1 jobs of one step.*?  +(\w+),.* not installed: just bench-setup$", done.stdout, re.MULTILINE
    )
    assert missing == ["huey", "huey", "doit", "luigi"], done.stdout
    project = tomllib.loads((RUN.parents[2] / "pyproject.toml").read_text())
    assert {one.partition("==")[0] for one in project["dependency-groups"]["bench"]} == set(missing)
    assert re.search(r"The same work varied meanwhile: CPU \d+\.\d%.*, disk \d+\.\d%", done.stdout)


def test_a_history_has_a_line_of_json_for_each_run_and_the_next_run_is_compared_with_the_last(
    tmp_path: Path,
) -> None:
    history = tmp_path / "history.jsonl"
    assert bench(tmp_path, "--json", str(history)).returncode == 0
    (first,) = map(json.loads, history.read_text().splitlines())
    again = bench(tmp_path, "--json", str(history), "--against", str(history))

    assert again.returncode == 0, again.stderr
    lines = list(map(json.loads, history.read_text().splitlines()))
    assert lines[0] == first
    assert len(lines) == 2
    (row,) = first["rows"]
    assert row["ratio"] == row["ours"] / row["other"] == row["lowest"] == row["highest"]
    assert {one["why"] for one in first["not_measured"]} == {"not installed: just bench-setup"}
    assert set(first["noise"]) == {"CPU", "disk"}
    shown = f"{row['ratio']:.2f}x -> {lines[1]['rows'][0]['ratio']:>7.2f}x"
    assert shown in again.stdout
    assert "fewer than 3 rounds" in again.stdout
    assert " CPUs, one round. The same work varied meanwhile: CPU not known from one round" in again.stdout


def entry(**changed: Any) -> dict[str, Any]:
    """Return a line of a history, of a machine that is no longer there."""
    row = {
        "what": "1 jobs of one step, YAML to exit",
        "against": "asyncio and a SQLite writer, by hand",
        "ours": 0.3, "other": 0.1, "unit": "s", "ratio": 3.0, "lowest": 2.9, "highest": 3.1, "rounds": 5,
        "target": "",
    }  # fmt: skip
    whole = {
        "format": 1, "date": "2026-11-30T00:00:00+00:00", "commit": "abc123", "is_changed": False,
        "python": "3.9.1", "machine": "m", "cpus": 1,
        "noise": {"CPU": [0, 0, 1], "disk": [0, 0, 1]}, "rows": [row],
    }  # fmt: skip
    return whole | changed


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "history.jsonl: no runs"),
        (["no json"], "history.jsonl:1: no run of the benchmarks: "),
        (['{"format": 1}'], "history.jsonl:1: no run of the benchmarks: "),
        ([json.dumps(entry()), '{"format": 1, "dat'], "history.jsonl:2: no run of the benchmarks: "),
        ([json.dumps(entry(format=7))], "its format is 7, this version reads 1"),
    ],
)
def test_a_history_that_cannot_be_read_is_refused_before_anything_is_measured(
    tmp_path: Path, lines: list[str], problem: str
) -> None:
    (tmp_path / "history.jsonl").write_text("".join(f"{line}\n" for line in lines))

    done = bench(tmp_path, "--against", "history.jsonl")

    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_history_that_is_not_there_or_cannot_be_written_is_refused_too(tmp_path: Path) -> None:
    for words in (["--against", "none.jsonl"], ["--json", "no_folder/history.jsonl"]):
        done = bench(tmp_path, *words)

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{words[1]}: No such file or directory\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--rounds", "0"], "argument --rounds: 0: not a whole number from 1"),
        (["--jobs", "10,x"], "argument --jobs: x: not a whole number from 1"),
        (["nothing"], "argument group: nothing: no such group; there are start, "),
        (["--commit", "abc"], "--commit needs --against"),
    ],
)
def test_a_mistake_in_the_words_is_named_before_anything_is_measured(
    tmp_path: Path, words: list[str], problem: str
) -> None:
    done = bench(tmp_path, *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_an_earlier_run_is_chosen_by_its_commit_and_other_formats_before_it_do_not_matter(
    tmp_path: Path,
) -> None:
    lines = [
        entry(format=0),
        entry(commit="abc123"),
        entry(commit="def456", rows=[]),
        entry(format=9, commit="f"),
    ]
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))

    done = bench(tmp_path, "--against", str(history), "--commit", "abc")
    unknown = bench(tmp_path, "--against", str(history), "--commit", "0ff")

    assert done.returncode == 0, done.stderr
    assert "ratios since 2026-11-30T00:00:00+00:00 (abc123); less is better" in done.stdout
    assert "not alike: Python 3.9.1 then" in done.stdout
    assert re.search(r"by hand +3\.00x -> +\d+\.\d\dx", done.stdout)
    assert (unknown.returncode, unknown.stderr) == (2, f"{history}: no run of commit 0ff\n")


@pytest.mark.parametrize(
    ("lowest", "ratio", "highest", "verdict"),
    [
        (0.0, 500.0, 1e9, "within the noise"),
        (1e6, 2e6, 3e6, "better"),
        (1e-9, 2e-9, 3e-9, "worse"),
        (None, 3.0, None, "(rounds not known)"),
    ],
)
def test_a_ratio_has_changed_if_no_round_of_one_run_is_among_those_of_the_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lowest: float | None,
    ratio: float,
    highest: float | None,
    verdict: str,
) -> None:
    monkeypatch.syspath_prepend(RUN.parent)
    history = importlib.import_module("history")
    (row,) = entry()["rows"]
    lines = [entry(rows=[row | {"lowest": lowest, "ratio": ratio, "highest": highest}]), entry(commit="now")]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    before, now = (history.read_run(tmp_path / "history.jsonl", commit) for commit in ("abc123", "now"))

    assert history.changes(before, now).endswith(f"% {verdict}\n")


def test_a_run_says_whether_its_ratios_have_changed(tmp_path: Path) -> None:
    (row,) = entry()["rows"]
    line = entry(rows=[row | {"lowest": 1e6, "ratio": 2e6, "highest": 3e6}])
    (tmp_path / "history.jsonl").write_text(json.dumps(line))

    done = bench(tmp_path, "--rounds", "3", "--against", "history.jsonl")

    assert re.search(r"by hand .*x -> .*% better$", done.stdout, re.MULTILINE), done.stdout


def test_a_line_that_was_cut_off_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text('{"format": 1, "dat')

    assert bench(tmp_path, "--json", str(history)).returncode == 0

    cut, whole = history.read_text().splitlines()
    assert cut == '{"format": 1, "dat'
    assert json.loads(whole)["format"] == 1


def test_the_table_can_be_printed_for_a_page(tmp_path: Path) -> None:
    lines = bench(tmp_path, "--markdown").stdout.splitlines()

    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 5
    assert {line.count("|") for line in table} == {table[0].count("|")}
