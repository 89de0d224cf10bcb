"""Lists, matrices and outputs of steps that are not there."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake, flow, job

EACH = "steps: [{id: s, type: check_items, inputs: {items: ['%s']}}]"
DAYS = "for_each: {matrix: {day: [mon, tue], region: [eu, us]}%s}\n"

MISTAKES = [
    Mistake(
        "strategy and matrix (GitHub Actions)",
        job("▶strategy: {matrix: {day: [mon, tue]}}\n" + EACH % "{{item.day}}"),
        "AF111",
        "unknown key 'strategy' in a job",
        "write for_each: {matrix: {day: [mon, tue]}}",
        (("strategy", "for_each"),),
        also=("AF403",),
    ),
    Mistake(
        "the lists of a matrix without matrix",
        job("for_each: {day: [mon, tue], region: [eu]}\n" + EACH % "{{▶item.day}}"),
        "AF426",
        "the items of job 'b' have no 'day'",
        "for the product of its lists: {matrix: {...}}",
        (("{day: [mon, tue], region: [eu]}", "{matrix: {day: [mon, tue], region: [eu]}}"),),
    ),
    Mistake(
        "a slip in the name of a list of the matrix",
        job(DAYS % "" + EACH % "{{▶item.dya}}"),
        "AF426",
        "the items of job 'b' have no 'dya'",
        "did you mean 'day'?",
        (("item.dya", "item.day"),),
    ),
    Mistake(
        "exclude of a combination that does not exist",
        job(DAYS % ", exclude: [▶{day: wed}]" + EACH % "{{item.day}}"),
        "AF425",
        "exclude removes nothing: the list 'day' does not have 'wed'",
        'day has ["mon", "tue"]',
        (("{day: wed}", "{day: tue}"),),
    ),
    Mistake(
        "the path of a list without braces",
        job("▶for_each: jobs.a.outputs.n\n" + EACH % "{{item}}"),
        "AF712",
        "for_each of job 'b' must give a list, not a text",
        'write a template: "{{jobs.a.outputs.n}}"',
        (("for_each: jobs.a.outputs.n", 'for_each: "{{jobs.a.outputs.n}}"'),),
    ),
    Mistake(
        "the name of a job's output at its step",
        flow(
            "- id: a\n  steps:\n"
            "    - {id: pull, type: check_items, inputs: {items: [x]}, outputs: {rows: '{{result.count}}'}}\n"
            "    - {id: use, type: check_items, inputs: {items: ['{{▶steps.pull.rows}}']}}"
        ),
        "AF427",
        "step 'pull' (check_items) has no output 'rows'",
        "write job.outputs.rows, or steps.pull.count",
        (("steps.pull.rows", "steps.pull.count"),),
    ),
    Mistake(
        "stdout that is not captured",
        flow(
            "- id: a\n  steps:\n    - id: s\n      type: external.process\n"
            "      inputs: {command: [echo, x]}\n      outputs: {said: '{{▶result.stdout}}'}"
        ),
        "AF427",
        "step 's' (external.process) has no output 'stdout'",
        "add log: {stdout: capture}",
        (("command: [echo, x]", "command: [echo, x], log: {stdout: capture}"),),
    ),
]
