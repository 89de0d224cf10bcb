"""What a person gets for a bad flow: one exit code, a place, a stable code, no traceback, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, flow, has_place, no_trace

CHECK = "- {id: s, type: check_items, inputs: {items: [x]}}"
TWO = """version: 1
flow: {id: f}
jobs:
  - {id: a, depends_on: [b], steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
  - {id: b, depends_on: [a], steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
"""
RESOURCE = """version: 1
flow: {id: f}
resources:
  db: {kind: db, driver: sqlite3, profile: nowhere}
jobs:
  - id: a
    steps:
      - {id: s, type: db_extract, inputs: {resource: db, sql: select 1, output: o.tsv}}
"""

BAD: dict[str, tuple[str, str, str, str]] = {
    # what is wrong: (the flow, line:column, code, words that a person needs)
    "not YAML": ("a: [\n", "2:1", "AF103", "expected"),
    "a tab": ("a:\n\tb: 1\n", "2:1", "AF103", "tab"),
    "empty": ("", "1:1", "AF107", "empty"),
    "only a comment": ("# nothing\n", r"\d+:1", "AF107", "empty"),
    "a list at the top": ("- a\n", "1:1", "AF110", "expected a mapping, got a list"),
    "a text at the top": ("hello\n", "1:1", "AF110", "expected a mapping"),
    "two documents": (OK + "---\n" + OK, "7:1", "AF105", "a second document"),
    "another version": (OK.replace("version: 1", "version: 2"), r"1:\d+", r"AF\d+", "version"),
    "no jobs": ("version: 1\nflow: {id: f}\n", "1:1", r"AF\d+", "jobs"),
    "an unknown key": (OK.replace("    steps:", "    stepps:"), "5:5", "AF111", "did you mean 'steps'?"),
    "an unknown key at depth": (
        flow("- {id: s, type: check_items, inputs: {items: [x]}, retry: {max_attempt: 2}}"),
        "6:66",
        "AF111",
        "did you mean 'max_attempts'?",
    ),
    "a wrong type at depth": (
        flow("- {id: s, type: check_items, inputs: {items: [x]}, timeout_seconds: soon}"),
        r"6:\d+",
        r"AF\d+",
        "timeout_seconds",
    ),
    "a wrong type of an input": (
        flow("- {id: s, type: check_items, inputs: {items: [x], min_count: many}}"),
        r"6:\d+",
        "AF544",
        "min_count",
    ),
    "a missing input": (flow("- {id: s, type: check_items}"), r"6:\d+", "AF545", "items"),
    "an unknown input": (
        flow("- {id: s, type: check_items, inputs: {items: [x], min_cont: 1}}"),
        r"6:\d+",
        "AF543",
        "did you mean 'min_count'?",
    ),
    "a duplicate key": ("version: 1\nversion: 1\n", "2:1", "AF104", "line 1"),
    "a duplicate step": (flow(f"{CHECK}\n{CHECK}"), r"7:\d+", "AF120", "line 6"),
    "a duplicate job": (OK + OK.partition("jobs:\n")[2], r"7:\d+", r"AF12\d", "line 4"),
    "an unknown step type": (OK.replace("check_items", "chek_items"), r"6:\d+", "AF540", "'check_items'?"),
    "an unknown job": (
        OK.replace("  - id: a", "  - id: a\n    depends_on: [zz]"),
        r"5:\d+",
        r"AF\d+",
        "zz",
    ),
    "a cycle": (TWO, r"\d+:\d+", r"AF\d+", "a -> b -> a"),
    "itself": (TWO.replace("[b]", "[a]"), r"4:\d+", r"AF\d+", "a"),
    "an unknown profile": (RESOURCE, r"4:\d+", "AF534", "nowhere"),
    "an unknown connector": (
        RESOURCE.replace("sqlite3", "sqlit3").replace(", profile: nowhere", ""),
        r"4:\d+",
        "AF540",
        "did you mean 'db:sqlite3'?",
    ),
    "an unknown resource": (
        RESOURCE.replace("resource: db", "resource: dv").replace(", profile: nowhere", ""),
        r"8:\d+",
        "AF550",
        "dv",
    ),
    "an unknown root in a template": (OK.replace("[x]", '"{{nope.x}}"'), r"6:\d+", "AF403", "nope"),
    "an unknown param": (OK.replace("[x]", '"{{params.dya}}"'), r"6:\d+", r"AF4\d\d", "dya"),
    "a bad template": (OK.replace("[x]", '"{{ x"'), r"6:\d+", "AF401", "Unsupported templating syntax"),
    "a statement in a template": (OK.replace("[x]", '"{% if %}"'), r"6:\d+", "AF401", "{% if %}"),
    "a bad condition": (
        OK.replace("  - id: a", "  - id: a\n    when: params.x =="),
        r"5:\d+",
        "AF421",
        "cannot be read at its end",
    ),
    "a call in a condition": (
        OK.replace("  - id: a", "  - id: a\n    when: open('x') == 1"),
        r"5:\d+",
        "AF421",
        "calls are not supported",
    ),
    "200 levels deep": ("[" * 200 + "]" * 200, "1:101", "AF106", "100 deep"),
    "an alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        r"\d+:\d+",
        r"AF10\d",
        "alias",
    ),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_flow_is_refused_with_its_place_a_code_and_what_to_do(cli: CommandLine, wrong: str) -> None:
    text, place, code, words = BAD[wrong]
    cli.write("flow.yaml", text)

    result = cli.run("run", "flow.yaml")

    assert result.code == 2, result
    assert has_place(result.err, "flow.yaml", place, code), result.err
    assert words in result.err
    assert result.out == ""
    assert no_trace(result)
    assert not cli.state.exists(), "nothing may begin"


def test_bytes_that_are_no_utf_8_are_named_with_their_place(cli: CommandLine) -> None:
    (cli.folder / "flow.yaml").write_bytes(b'a: "\xff\xfe"\n')

    result = cli.run("validate", "flow.yaml")

    assert result.code == 2
    assert has_place(result.err, "flow.yaml", "1:5", "AF102")
    assert "0xff" in result.err


@pytest.mark.parametrize(("name", "words"), [("nothing.yaml", "there is no such file"), (".", "directory")])
def test_a_path_that_is_no_file_is_reported_as_such(cli: CommandLine, name: str, words: str) -> None:
    result = cli.run("run", name)

    assert result.code == 2
    assert has_place(result.err, name, "1:1", "AF101")
    assert words in result.err
    assert no_trace(result)


def test_texts_of_a_megabyte_are_fine(cli: CommandLine) -> None:
    long = "y" * 1_000_000
    described = OK.replace("{id: f}", f"{{id: f, description: {long}}}")
    cli.write("flow.yaml", described.replace("[x]", f"[{long}]"))

    result = cli.run("run", "flow.yaml", "--run-id", "long")

    assert result.code == 0, result.err[:1000]
    assert cli.query("select status from runs") == [("SUCCESS",)]


def test_all_that_is_wrong_with_names_and_inputs_is_reported_at_once(cli: CommandLine) -> None:
    steps = "- {id: s, type: chek_items}\n- {id: t, type: check_items, inputs: {itms: 1}}"
    cli.write("flow.yaml", flow(steps))

    result = cli.run("validate", "flow.yaml", "--json")

    assert result.code == 2
    report = result.json()
    assert report["valid"] is False
    assert {diagnostic["code"] for diagnostic in report["diagnostics"]} == {"AF540", "AF543"}
    assert all(
        diagnostic.keys() == {"code", "message", "file", "line", "column", "severity", "hint", "excerpt"}
        for diagnostic in report["diagnostics"]
    )


def test_an_error_of_shape_hides_only_what_might_follow_from_it(cli: CommandLine) -> None:
    """A job without steps: what is said of it is left out, what is wrong with all others is reported."""
    cli.write(
        "flow.yaml",
        "version: 1\nflow: {id: f}\njobs:\n"
        "  - {id: empty, steps: []}\n"
        "  - id: a\n"
        "    depends_on: [nope]\n"
        "    when: jobs.nobody.outputs.x == 1\n"
        "    steps:\n"
        '      - {id: s, type: check_items, inputs: {items: "{{steps.later.x}}"}}\n'
        '      - {id: t, type: check_items, inputs: {items: "{{jobs.b.outputs.none}}"}}\n'
        '      - {id: u, type: check_items, inputs: {items: "{{jobs.empty.outputs.some}}"}}\n'
        "  - {id: b, steps: [{id: s, type: chek_items}, {id: t, type: check_items, inputs: {itms: 1}}]}\n",
    )

    found = cli.run("validate", "flow.yaml", "--json").json()["diagnostics"]

    assert [(one["line"], one["code"]) for one in found] == [
        (4, "AF113"),
        (6, "AF131"),
        (7, "AF406"),
        (9, "AF405"),
        (10, "AF407"),
        (12, "AF540"),
        (12, "AF543"),
    ]


@pytest.mark.parametrize("command", ["doctor", "explain"])
def test_json_reports_of_a_flow_that_cannot_be_read_are_json_too(cli: CommandLine, command: str) -> None:
    cli.write("flow.yaml", "a: [\n")

    result = cli.run(command, "flow.yaml", "--json")

    assert result.code == 2
    assert result.json()["ok"] is False
    assert result.json()["diagnostics"][0]["line"] == 2


@pytest.mark.parametrize("command", ["validate", "doctor", "explain"])
def test_json_reports_do_not_point_into_the_flow_when_a_setting_is_wrong(
    cli: CommandLine, command: str
) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run(command, "flow.yaml", "--json", env={"AETHERFLOW_LOG_LEVEL": "loud"})

    assert result.code == 2
    (diagnostic,) = result.json()["diagnostics"]
    assert (diagnostic["code"], diagnostic["file"]) == ("AF501", "environment")


def test_a_profiles_file_that_is_not_there_is_named(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", OK)
    missing = str(tmp_path / "profiles.yaml")

    result = cli.run("run", "flow.yaml", env={"AETHERFLOW_PROFILES_FILE": missing})

    assert result.code == 2
    assert missing in result.err
    assert no_trace(result)
