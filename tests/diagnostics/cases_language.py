"""AF4xx: templates, conditions, and what a flow says by them."""

from __future__ import annotations

from tests.diagnostics.case import RUN, Case, Told, job, process, steps

ITEMS = "{id: s, type: check_items, inputs: {items: ['%s']}}"

MAIL = """
from aetherflow import StepContext, step


@step("mail_send", visible={"subject": "mail subject"})
async def mail_send(context: StepContext, inputs: dict) -> None:
    pass
"""

CASES: dict[str, Case | Told] = {
    "AF401": Case(steps(ITEMS % "{{ name | upper }}")),
    "AF402": Case(steps("{id: s, type: check_items, inputs: {items: []}, outputs: {'{{params.x}}': 1}}")),
    "AF403": Case(steps(ITEMS % "{{parms.x}}")),
    "AF404": Case(steps(ITEMS % "{{params.dya}}", head="flow: {id: f, params: {day: {type: date}}}")),
    "AF405": Case(steps(ITEMS % "{{steps.later.count}}", ITEMS.replace("id: s", "id: later") % "x")),
    "AF406": Case(job("when: jobs.c.status == 'SUCCESS'")),
    "AF407": Case(job("when: jobs.a.outputs.count")),
    "AF410": Case(steps(ITEMS % "{{job.outputs.count}}"), RUN),
    "AF420": Case(job("when: jobs.a.outputs.count > 3"), RUN),
    "AF421": Case(job("when: jobs.a.outputs.n = 3")),
    "AF422": Case(job("when: steps.a.count > 0")),
    "AF423": Case(job("for_each: {matrix: {day: [1, 2]}, excludes: [{day: 2}]}")),
    "AF424": Case(job("for_each: {matrix: {day: [1, 2]}, exclude: [{dya: 2}]}")),
    "AF425": Case(job("for_each: {matrix: {day: [1, 2]}, exclude: [{day: 3}]}")),
    "AF426": Case(job("for_each: {matrix: {day: [1, 2]}}", step=ITEMS % "{{item.dya}}")),
    "AF427": Case(
        steps(
            "{id: s, type: check_items, inputs: {items: [x]}, outputs: {rows: '{{result.count}}'}}",
            "{id: t, type: check_items, inputs: {items: ['{{steps.s.rows}}']}}",
        )
    ),
    "AF428": Case(
        steps(
            ITEMS % "{{params.file}}", head="flow: {id: f, params: {file: {default: 'orders_{{today}}.csv'}}}"
        )
    ),
    "AF430": Case(steps(ITEMS % "{{env.FILES}}")),
    "AF431": Case(steps(ITEMS % "${HOME}/data")),
    "AF432": Case(
        process("command: [mysql, '--password={{params.pw}}']", head="flow: {id: f, params: {pw: {}}}")
    ),
    "AF433": Case(
        steps("{id: s, type: mail_send, inputs: {resource: m, to: x, subject: 'login {{env.API_TOKEN:x}}'}}"),
        files={"plugins/mail.py": MAIL},
        env={"AETHERFLOW_PLUGIN_PATHS": "plugins"},
    ),
    "AF435": Case(steps(ITEMS % "${params.day}", head="flow: {id: f, params: {day: {type: date}}}")),
    "AF436": Case(process("command: python load.py")),
    "AF437": Case(process("command: [sort, in.txt, '>', out.txt]")),
    "AF438": Case(
        process(
            "command: [sh, -c, 'echo {{params.message}}']",
            head="flow: {id: f, params: {message: {default: x}}}",
        )
    ),
    "AF439": Case(
        "version: 1\nflow: {id: f}\njobs:\n"
        "  - {id: a, steps: [{id: s, type: external.process, inputs: {command: [touch, x.csv], "
        "success: {require_files: [x.csv]}}}]}\n"
        "  - {id: b, steps: [{id: s, type: external.process, inputs: {command: [cat, x.csv]}}]}\n"
    ),
    "AF440": Case(
        "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n      - id: s\n"
        "        type: external.process\n        inputs:\n          command: [env]\n"
        "          env:\n            DB_PASSWORD: abc #def\n"
    ),
    "AF434": Case(job("depends_on: [a], when: jobs.a.status == 'FAILED'")),
}
