"""Everything the planner says of a flow, word for word and place by place."""

from __future__ import annotations

import pytest

from aetherflow.plan.plan import RUN_KEYS
from tests.engine.scripted_machine import planned

FLOW = """\
version: 1
flow: {id: f, params: {day: {}, mode: {}}}
jobs:
  - id: probe
    steps: [{id: look, type: t, outputs: {count: "{{result.n}}"}}]
  - id: load
    KEY
    steps:
      - {id: first, type: t}
      - id: second
        type: t
        inputs: {text: "INPUT"}
        outputs: {rows: "OUTPUT"}
      - {id: third, type: t}
"""


def say(flow: str) -> list[str]:
    """Return the diagnostics without the name of the file."""
    return [str(found).removeprefix("flow.yaml:") for found in planned(flow)[1]]


def flow_with(*, key: str = "description: x", text: str = "x", output: str = "x") -> str:
    return FLOW.replace("KEY", key).replace("INPUT", text).replace("OUTPUT", output)


NO_ITEM = "only a job with for_each has an item: add for_each: [a, b] to the job"
NO_RESULT = "only the `outputs:` of a step see its own result; others read {{steps.STEP.KEY}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{item.path}}",
            f"12:27: error[AF403]: {{{{item.path}}}}: 'item' is not known here\n    hint: {NO_ITEM}",
        ),
        (
            "see {{ result.n }}",
            f"12:32: error[AF403]: {{{{result.n}}}}: 'result' is not known here\n    hint: {NO_RESULT}",
        ),
        (
            "{{param.day}}",
            "12:27: error[AF403]: {{param.day}}: 'param' is not known here\n    hint: did you mean 'params'?",
        ),
        (
            "{{run.started}}",
            (f"12:27: error[AF403]: 'run.started' is not known\n    hint: run has {', '.join(RUN_KEYS)}"),
        ),
        (
            "{{run}}",
            (f"12:27: error[AF403]: 'run' is not known\n    hint: run has {', '.join(RUN_KEYS)}"),
        ),
        (
            "{{params.dya}}",
            "12:27: error[AF404]: the flow has no parameter 'dya'\n    hint: did you mean 'day'?",
        ),
        (
            "{{params.xyz:with default}}",
            "12:27: error[AF404]: the flow has no parameter 'xyz'\n    hint: declare it under flow.params",
        ),
        (
            "{{steps.third.n}}",
            (
                "12:27: error[AF405]: step 'third' has not run yet when this is read\n"
                "    hint: a step sees the steps before it in its job; move it, or swap the two"
            ),
        ),
        (
            "{{steps.second.n}}",
            (
                "12:27: error[AF405]: step 'second' has not run yet when this is read\n"
                "    hint: a step sees the steps before it in its job; move it, or swap the two"
            ),
        ),
        (
            "{{steps.frist.n}}",
            "12:27: error[AF405]: job 'load' has no step 'frist'\n    hint: did you mean 'first'?",
        ),
        (
            "{{steps.look.n}}",
            (
                "12:27: error[AF405]: job 'load' has no step 'look'\n"
                "    hint: a step of another job is reached by jobs.JOB.outputs.KEY"
            ),
        ),
        (
            "{{steps}}",
            (
                "12:27: error[AF405]: 'steps' alone is no value\n"
                "    hint: write steps.STEP.KEY or jobs.JOB.outputs.KEY"
            ),
        ),
        (
            "{{jobs}}",
            (
                "12:27: error[AF406]: 'jobs' alone is no value\n"
                "    hint: write steps.STEP.KEY or jobs.JOB.outputs.KEY"
            ),
        ),
        (
            "{{jobs.prob.outputs.count}}",
            "12:27: error[AF406]: the flow has no job 'prob'\n    hint: did you mean 'probe'?",
        ),
        ("{{jobs.xyz.outputs.count}}", "12:27: error[AF406]: the flow has no job 'xyz'"),
        (
            "{{jobs.load.outputs.rows}}",
            (
                "12:27: error[AF406]: job 'load' cannot refer to itself as jobs.load\n"
                "    hint: within a job use job.outputs.KEY or steps.STEP.KEY"
            ),
        ),
        (
            "{{jobs.probe.count}}",
            (
                "12:27: error[AF406]: 'jobs.probe.count': a job has outputs and status\n"
                "    hint: write jobs.probe.outputs.count"
            ),
        ),
        (
            "{{jobs.probe}}",
            (
                "12:27: error[AF406]: 'jobs.probe': a job has outputs and status\n"
                "    hint: write jobs.probe.outputs.KEY or jobs.probe.status"
            ),
        ),
        (
            "{{jobs.probe.outputs.cont}}",
            "12:27: warning[AF407]: job 'probe' declares no output 'cont'\n    hint: did you mean 'count'?",
        ),
        (
            "{{jobs.probe.outputs.xyz}}",
            (
                "12:27: warning[AF407]: job 'probe' declares no output 'xyz'\n"
                "    hint: a step's `outputs:` mapping makes outputs of the job: "
                'outputs: {KEY: "{{result.KEY}}"}'
            ),
        ),
    ],
)
def test_a_bad_reference_is_reported_where_it_stands(text: str, said: str) -> None:
    assert say(flow_with(text=text)) == [said]


def test_a_template_that_cannot_be_read_is_reported_where_it_stands() -> None:
    (said,) = say(flow_with(text="a {% if %}"))
    assert said.startswith("12:27: error[AF401]: Unsupported templating syntax.")


@pytest.mark.parametrize(
    "text",
    [
        "{{env.ANY}} {{params.day}} {{run_id}} {{flow_id}} {{run.id}} {{run.attempt}}",
        "{{steps.first.n}} {{steps.first}} {{job.outputs.rows}} {{job.id}}",
        "{{jobs.probe.outputs.count.deep}} {{jobs.probe.outputs}} {{jobs.probe.status}}",
    ],
)
def test_what_a_step_may_read_is_no_finding(text: str) -> None:
    assert say(flow_with(text=text)) == []


def test_the_outputs_of_a_step_see_its_result_and_itself() -> None:
    assert say(flow_with(output="{{result.n}} {{steps.second.n}} {{steps.first.n}}")) == []
    assert say(flow_with(output="{{steps.third.n}}")) == [
        (
            "13:28: error[AF405]: step 'third' has not run yet when this is read\n"
            "    hint: a step sees the steps before it in its job; move it, or swap the two"
        )
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "depends_on: [probe, load]",
            ["7:25: error[AF130]: job 'load' depends on itself\n    hint: remove this entry"],
        ),
        (
            "depends_on: [prob, lod]",
            [
                (
                    "7:18: error[AF131]: job 'load' depends on 'prob', which is no job of this flow\n"
                    "    hint: did you mean 'probe'?"
                ),
                "7:24: error[AF131]: job 'load' depends on 'lod', which is no job of this flow",
            ],
        ),
        ("when: jobs.xyz.outputs.n == 1", ["7:11: error[AF406]: the flow has no job 'xyz'"]),
        (
            "when: \"'a' == params.dy\"",
            ["7:19: error[AF404]: the flow has no parameter 'dy'\n    hint: did you mean 'day'?"],
        ),
        (
            "when: jobs.load.status == 'SUCCESS'",
            [
                (
                    "7:11: error[AF406]: job 'load' cannot refer to itself as jobs.load\n"
                    "    hint: within a job use job.outputs.KEY or steps.STEP.KEY"
                )
            ],
        ),
        (
            "when: params.day ==",
            [
                (
                    "7:24: error[AF421]: the condition cannot be read at its end: "
                    "expected a path or a literal\n"
                    "    hint: a condition looks like: jobs.ID.outputs.KEY > 0 and env.NAME == 'text'"
                )
            ],
        ),
        (
            'for_each: "{{steps.first.files}}"',
            [
                (
                    "7:18: error[AF403]: {{steps.first.files}}: 'steps' is not known here\n"
                    "    hint: what is known here: env, params, jobs, run_id, flow_id, run, flow, "
                    "today, yesterday"
                )
            ],
        ),
        (
            "for_each: [1, '{{item}}']",
            [
                (
                    "7:22: error[AF403]: {{item}}: 'item' is not known here\n"
                    "    hint: what is known here: env, params, jobs, run_id, flow_id, run, flow, "
                    "today, yesterday"
                )
            ],
        ),
    ],
)
def test_a_bad_key_of_a_job_is_reported_where_it_stands(key: str, said: list[str]) -> None:
    assert say(flow_with(key=key)) == said


def test_the_steps_of_a_for_each_job_see_the_item() -> None:
    assert say(flow_with(key="for_each: [{a: 1}]", text="{{item}} {{item.a}} {{item_index}}")) == []


MATRIX = "for_each: {matrix: {day: [1, 2], region: '{{params.day}}'}, include: [{day: 3, note: x}]}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (MATRIX, "{{item.day}} {{item.region}} {{item.note:}}"),
        ("for_each: {matrix: '{{params.day}}'}", "{{item.any}}"),
        ("for_each: {matrix: {day: [1]}, include: '{{params.day}}'}", "{{item.any}}"),
        ("for_each: [{a: 1}, {b: 2}]", "{{item.a:}} {{item.b:}}"),
        ("for_each: {de: 1}", "{{item.key}} {{item.value}}"),
        ("for_each: '{{params.day}}'", "{{item.any}}"),
        ("for_each: [{a.b: 1}]", "{{item.a.b}}"),
        ("for_each: [[1, 2]]", "{{item.0}}"),
        ("for_each: ['{{params.day}}']", "{{item.any}}"),
    ],
)
def test_parts_of_items_that_may_be_there_are_fine(key: str, text: str) -> None:
    assert say(flow_with(key=key, text=text)) == []


@pytest.mark.parametrize(
    ("key", "text", "hint"),
    [
        (MATRIX, "{{item.dya}}", "did you mean 'day'?"),
        (MATRIX, "{{item.zone}}", "an item has day, region, note"),
        ("for_each: [{name: 1}, {size: 2}]", "{{item.nmae}}", "did you mean 'name'?"),
        ("for_each: {de: 1}", "{{item.de}}", "an item has key, value"),
        ("for_each: [a, b]", "{{item.name}}", "an item has no parts: write {{item}}"),
        (
            "for_each: {day: [1, 2], region: [eu]}",
            "{{item.day}}",
            "the items are the entries of the mapping; for the product of its lists: {matrix: {...}}",
        ),
    ],
)
def test_a_part_that_no_item_has_is_an_error(key: str, text: str, hint: str) -> None:
    (said,) = say(flow_with(key=key, text=text))
    name = text.strip("{}").removeprefix("item.")
    assert (
        said.partition(": ")[2] == f"error[AF426]: the items of job 'load' have no '{name}'\n    hint: {hint}"
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "{matrix: {day: [1]}, exlude: []}",
            (
                "error[AF423]: for_each of job 'load' has matrix, exclude, include, but no 'exlude'"
                "\n    hint: did you mean 'exclude'?"
            ),
        ),
        (
            "{matrix: {day: [1]}, region: [eu]}",
            (
                "error[AF423]: for_each of job 'load' has matrix, exclude, include, but no 'region'"
                "\n    hint: a list of the matrix is written below matrix"
            ),
        ),
        (
            "{matrix: {day: 'mon, tue'}}",
            (
                "error[AF712]: for_each.matrix.day of job 'load' must give a list, not a text: 'mon, tue'"
                "\n    hint: write a list: [mon, tue]"
            ),
        ),
        (
            "{matrix: {day: [1]}, exclude: {day: 1}}",
            (
                "error[AF712]: for_each.exclude of job 'load' must give a list of mappings, not a mapping: "
                '{"day": 1}\n    hint: write a list of mappings: exclude: [{day: mon}]'
            ),
        ),
        (
            "{matrix: {day: ['{{params.day}}'], hour: [1, 2]}, exclude: [{day: 1, hour: 3}]}",
            (
                "warning[AF425]: exclude removes nothing: the list 'hour' does not have 3"
                "\n    hint: hour has [1, 2]"
            ),
        ),
        ("{matrix: {day: [1, 2]}, exclude: [{day: 1}]}", None),
        ("{matrix: {day: [1, 2], exclude: [{day: '1'}]}}", None),
    ],
)
def test_a_matrix_is_checked_as_far_as_the_file_shows_it(key: str, expected: str | None) -> None:
    said = [one.partition(": ")[2] for one in say(flow_with(key=f"for_each: {key}"))]
    assert said == ([] if expected is None else [expected])


CIRCLE = "    hint: remove one depends_on, or one reference to jobs.*, of the circle"


def jobs_flow(*jobs: str) -> str:
    listed = "".join(f"  - {{{job}, steps: [{{id: s, type: t, outputs: {{n: 1}}}}]}}\n" for job in jobs)
    return f"version: 1\nflow: {{id: f}}\njobs:\n{listed}"


def test_a_circle_of_needs_and_order_edges_is_printed() -> None:
    flow = jobs_flow(
        "id: free",
        "id: a, depends_on: [b]",
        "id: b, when: jobs.c.outputs.n == 1",
        'id: c, for_each: ["{{jobs.a.outputs.n}}"]',
    )
    said = f"5:5: error[AF130]: the jobs wait for each other in a circle: a -> b -> c -> a\n{CIRCLE}"
    assert say(flow) == [said]


def test_every_circle_is_reported_at_once() -> None:
    flow = jobs_flow(
        "id: a, depends_on: [b]",
        "id: b, depends_on: [a]",
        "id: c, depends_on: [d, a]",
        "id: d, depends_on: [c]",
    )
    assert say(flow) == [
        f"4:5: error[AF130]: the jobs wait for each other in a circle: a -> b -> a\n{CIRCLE}",
        f"6:5: error[AF130]: the jobs wait for each other in a circle: c -> d -> c\n{CIRCLE}",
    ]


def test_very_many_circles_do_not_flood() -> None:
    jobs = [f"id: j{n}, depends_on: [j{n ^ 1}]" for n in range(100)]
    assert len(say(jobs_flow(*jobs))) == 20


META = """\
version: 1
flow:
  id: f
  params: {day: {}}
  workspace:
    root: "/tmp/{{env.A}}/{{params.day}}/{{run_id}}"
    layout: {artifacts: "{{params.dya}}"}
  state: {path: "{{env.B}}{{jobs.a.status}}"}
resources:
  db:
    kind: db
    driver: x
    config: {url: "{{env.URL}}", user: "{{params.day}}"}
    options: {n: "{{secret.x}}"}
jobs:
  - {id: a, steps: [{id: s, type: t}]}
"""


def test_flow_metadata_sees_env_and_params_and_resources_see_env() -> None:
    assert say(META) == [
        (
            "6:44: error[AF403]: {{run_id}}: 'run_id' is not known here\n"
            "    hint: what is known here: env, params, flow"
        ),
        "7:28: error[AF404]: the flow has no parameter 'dya'\n    hint: did you mean 'day'?",
        (
            "8:29: error[AF403]: {{jobs.a.status}}: 'jobs' is not known here\n"
            "    hint: what is known here: env, params, flow"
        ),
        (
            "13:43: error[AF403]: {{params.day}}: 'params' is not known here\n"
            "    hint: what is known here: env, flow"
        ),
        (
            "14:21: error[AF403]: {{secret.x}}: 'secret' is not known here\n"
            "    hint: what is known here: env, flow"
        ),
    ]


@pytest.mark.parametrize(
    ("value", "kind", "hint"),
    [
        ("3", "a number: 3", "write a list: [3]"),
        ("a,b", "a text: 'a,b'", "write a list: [a, b]"),
        ("a.csv, b.csv", "a text: 'a.csv, b.csv'", "write a list: [a.csv, b.csv]"),
        ("true", "a truth value: true", "write a list: [true]"),
        ("jobs.x.outputs.y", "a text: 'jobs.x.outputs.y'", 'write a template: "{{jobs.x.outputs.y}}"'),
        ("'[a'", "a text: '[a'", "write a list: [a, b], or a template that gives one, not a text"),
    ],
)
def test_for_each_that_is_no_list_is_an_error(value: str, kind: str, hint: str) -> None:
    (said,) = say(flow_with(key=f"for_each: {value}"))

    assert said.startswith(f"7:5: error[AF712]: for_each of job 'load' must give a list, not {kind}")
    assert said.endswith(f"\n    hint: {hint}")


@pytest.mark.parametrize(
    "value", ["[a, b]", "'{{params.day}}'", "['{{params.day}}']", "[]", "'[1, 2]'", "{a: 1}"]
)
def test_for_each_may_be_a_list_or_a_template(value: str) -> None:
    assert say(flow_with(key=f"for_each: {value}")) == []


def test_a_default_that_its_parameter_does_not_take_is_an_error() -> None:
    flow = flow_with().replace(
        "day: {}, mode: {}", "day: {type: date, default: 2027-13-01}, mode: {}, n: {type: int}"
    )

    assert say(flow) == [
        (
            "2:42: error[AF560]: the default of the parameter 'day' must be a date such as 2026-01-31, "
            "or today-1d, not '2027-13-01'\n    hint: correct it, or the type"
        )
    ]


@pytest.mark.parametrize("day", ["2027-03-01", "'2027-03-01'", "null"])
def test_a_default_may_be_a_date_without_quotes_or_nothing(day: str) -> None:
    assert say(flow_with().replace("day: {}", f"day: {{type: date, default: {day}}}")) == []


def test_all_that_is_wrong_is_reported_at_once() -> None:
    flow = flow_with(
        key="depends_on: [xyz]\n    when: jobs.xyz.status ==",
        text="{{item}} {{steps.third}} {{jobs.xyz.status}}",
        output="{{params.xyz}} {{jobs.probe.outputs.xyz}}",
    )
    codes = [line.split("[")[1][:5] for line in say(flow)]
    assert codes == ["AF131", "AF421", "AF403", "AF405", "AF406", "AF404", "AF407"]
