"""`runs prune` as a person gives it, also while a run is on its way in the same database."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.cli.command_line import OK, CommandLine, no_trace

LIVELY = """version: 1
flow: {id: lively, max_parallel_jobs: 4}
jobs:
  - id: many
    for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    steps:
      - {id: one, type: check_items, inputs: {items: [x]}, outputs: {n: "{{item}}"}}
      - id: two
        type: external.process
        inputs: {command: [sh, -c, 'echo $0 >> "$1"; sleep 0.1', "{{item}}", "{{env.EFFECTS}}"]}
  - id: last
    depends_on: [many]
    steps: [{id: wait, type: external.process, inputs: {command: [sh, -c, 'until test -e "$0"; do sleep 0.02; done', "{{env.GO}}"]}}]
"""  # noqa: E501 - one line of YAML


def ids(cli: CommandLine) -> list[str]:
    """Return the ids of the runs in the database."""
    return [row[0] for row in cli.query("SELECT run_id FROM runs ORDER BY started_at")]


def test_prune_shows_what_it_would_delete_and_then_deletes_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    for run_id in ("one", "two"):
        assert cli.run("run", "flow.yaml", "--run-id", run_id).code == 0

    reported = cli.run("runs", "prune", "--keep-runs", "1", "--dry-run")
    assert reported.code == 0
    assert reported.out.splitlines()[0].split() == ["ENDED", "STATUS", "RUN", "FLOW"]
    assert reported.out.splitlines()[1].split()[1:] == ["SUCCESS", "one", "f"]
    assert reported.out.splitlines()[2:] == ["1 run would be deleted"]
    assert ids(cli) == ["one", "two"]

    done = cli.run("runs", "prune", "--keep-runs", "1", "--json")
    assert [run["run_id"] for run in done.json()["runs"]] == ["one"]
    assert done.json()["problems"] == []
    assert ids(cli) == ["two"]

    again = cli.run("runs", "prune", "--keep-runs", "1", "--keep-days", "3", "--flow-yaml", "flow.yaml")
    assert (again.code, again.out, again.err) == (0, "0 runs deleted\n", "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "error[AF002]: say which runs to keep: --keep-days N, --keep-runs N, or both"),
        (("--keep-runs", "-1"), "error[AF002]: Invalid value for '--keep-runs'"),
        (("--keep-days", "99999999999"), "error[AF002]: Invalid value for '--keep-days'"),
        (("--keep-days", "1", "--state", "none.sqlite"), "error[AF605]: there is no state database"),
    ],
)
def test_a_prune_that_makes_no_sense_is_refused(
    cli: CommandLine, options: tuple[str, ...], says: str
) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run("run", "flow.yaml", "--run-id", "one").code == 0

    result = cli.run("runs", "prune", *options)

    assert result.code == 2
    assert result.err.startswith(says)
    assert no_trace(result)
    assert ids(cli) == ["one"]


def test_an_id_is_free_again_after_its_run_was_deleted(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run("run", "flow.yaml", "--run-id", "one").code == 0
    assert cli.run("runs", "prune", "--keep-days", "0").code == 0

    result = cli.run("run", "flow.yaml", "--run-id", "one")

    assert result.code == 0
    assert "kept:" not in result.err
    assert cli.query("SELECT attempt, status FROM runs") == [(1, "SUCCESS")]


def test_a_run_on_its_way_is_not_touched_while_others_are_deleted_around_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("lively.yaml", LIVELY)
    cli.env |= {"EFFECTS": str(cli.folder / "effects"), "GO": str(cli.folder / "go")}
    for number in range(6):
        assert cli.run("run", "flow.yaml", "--run-id", f"old{number}").code == 0

    with cli.start("run", "lively.yaml", "--run-id", "live", "--log-format", "json") as running:
        running.event("step_finished")
        for number in range(6):
            result = cli.run("runs", "prune", "--keep-runs", str(5 - number))
            assert result.code == 0, result
            assert result.out.splitlines()[-2].startswith("1 run deleted"), result
            assert running.process.poll() is None
        assert ids(cli) == ["live"]
        cli.write("go", "")
        ended = running.end()

    assert ended.code == 0, ended
    assert sorted((cli.folder / "effects").read_text().split(), key=int) == [str(n) for n in range(1, 21)]
    steps = cli.query("SELECT status, count(*) FROM step_state WHERE run_id = 'live' GROUP BY 1")
    assert steps == [("SUCCESS", 41)]
    assert cli.query("SELECT count(*) FROM (SELECT 1 FROM events GROUP BY run_id)") == [(1,)]
    assert cli.query("SELECT max(seq) = count(*), min(seq) FROM events") == [(1, 1)]


def test_only_the_folder_of_a_run_is_deleted_whatever_the_database_says(cli: CommandLine) -> None:
    """A database may come from anywhere; its ids become names of folders."""
    cli.write("flow.yaml", OK)
    logs = cli.state.with_name("aetherflow.logs")
    assert cli.run("run", "flow.yaml", "--run-id", "one").code == 0
    for name in ("notes.txt", "other/notes.txt"):
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    (logs / "one").symlink_to("other")
    precious = cli.write("precious/file", "precious")
    for number, run_id in enumerate(("", "..", "../../precious", str(cli.folder / "precious"))):
        cli.write("copy.yaml", OK)
        assert cli.run("run", "copy.yaml", "--run-id", f"n{number}").code == 0
        with contextlib.closing(sqlite3.connect(cli.state)) as raw, raw:
            raw.execute("PRAGMA foreign_keys = OFF")
            tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%run_id%'"
            for (table,) in raw.execute(tables).fetchall():
                raw.execute(f"UPDATE {table} SET run_id = ? WHERE run_id = ?", (run_id, f"n{number}"))

    result = cli.run("runs", "prune", "--keep-days", "0")

    assert "is no name of a folder" in result.out + result.err
    assert "it is a symbolic link" in result.out + result.err
    assert precious.read_text() == "precious"
    assert (logs / "notes.txt").read_text() == "precious"
    assert (logs / "other" / "notes.txt").read_text() == "precious"
    assert cli.state.exists()
