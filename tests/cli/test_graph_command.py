"""`aetherflow graph`: text, Mermaid, DOT and JSON; ASCII where the terminal knows no more."""

from __future__ import annotations

from tests.cli.command_line import CommandLine

CHAIN = """\
version: 1
flow: {id: f}
jobs:
  - {id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
  - {id: b, depends_on: [a], steps: [{id: s, type: check_items, inputs: {items: ["{{env.NOT_SET}}"]}}]}
"""


def test_the_graph_is_drawn_without_looking_at_the_environment(cli: CommandLine) -> None:
    cli.write("flow.yaml", CHAIN)

    result = cli.run("graph", "flow.yaml")

    assert (result.code, result.err) == (0, "")
    assert result.out == "●  a  (1 step)\n│\n●  b  (1 step)\n\n│ waits for success\n"
    plain = cli.run("graph", "--flow-yaml", "flow.yaml", env={"PYTHONIOENCODING": "ascii"})
    assert plain.out == "*  a  (1 step)\n|\n*  b  (1 step)\n\n| waits for success\n"


def test_the_graph_for_other_tools(cli: CommandLine) -> None:
    cli.write("flow.yaml", CHAIN)

    assert "job0 --> job1" in cli.run("graph", "flow.yaml", "--format", "mermaid").out
    assert '"a" -> "b";' in cli.run("graph", "flow.yaml", "--format", "dot").out
    assert cli.run("graph", "flow.yaml", "--json").json() == {
        "schema": "aetherflow.graph/1",
        "ok": True,
        "flow": "f",
        "jobs": [{"id": "a", "steps": 1}, {"id": "b", "steps": 1}],
        "edges": [{"from": "a", "to": "b", "kind": "needs"}],
    }


def test_a_flow_that_is_wrong_is_not_drawn(cli: CommandLine) -> None:
    cli.write("flow.yaml", CHAIN.replace("[a]", "[c]"))

    result = cli.run("graph", "flow.yaml")

    assert (result.code, result.out) == (2, "")
    assert "flow.yaml:5:26: error[AF131]" in result.err
    assert cli.run("graph").code == 2


def test_too_many_jobs_are_not_drawn_but_written(cli: CommandLine) -> None:
    job = "{id: j%d, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}"
    cli.write(
        "flow.yaml", "version: 1\nflow: {id: f}\njobs:\n" + "".join(f"  - {job % n}\n" for n in range(1001))
    )

    result = cli.run("graph", "flow.yaml")

    assert result.code == 2
    assert "1001 jobs are too many for a drawing in the terminal (1000 at most)" in result.err
    assert cli.run("graph", "flow.yaml", "--format", "dot").out.count("\n") == 1004
