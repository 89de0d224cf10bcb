"""AF4xx: templates, conditions and what flows say by them."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF401": Entry(
        "Double braces hold something else than a path and a default.",
        '"{{ name | upper }}"',
        "Only {{PATH}} and {{PATH:DEFAULT}} are templates; compute anything else in a step.",
    ),
    "AF402": Entry(
        "A key of a mapping is a template; only values can be.",
        '"{{params.name}}": 1',
        "Write the key as it is.",
    ),
    "AF403": Entry(
        "A template begins with a name that is not known where it stands.",
        'url: "{{params.url}}" in a resource',
        "Use one of the names in the hint; resources know env only.",
    ),
    "AF404": Entry(
        "A template or condition names a parameter that the flow does not declare.",
        '"{{params.dya}}"',
        "Correct the name, or declare it under flow.params.",
    ),
    "AF405": Entry(
        "A template names a step that its job does not have, or that runs later.",
        '"{{steps.later.count}}"',
        "A step sees the steps before it in its job; move it, or swap the two.",
    ),
    "AF406": Entry(
        "A template or condition names a job that does not exist, or something that jobs do not have.",
        "when: jobs.probe.count > 0",
        "Write jobs.JOB.outputs.KEY or jobs.JOB.status.",
    ),
    "AF407": Entry(
        "A template or condition reads an output that no step of that job declares; it will have no value.",
        '"{{jobs.probe.outputs.cuont}}"',
        "Add it to the `outputs:` of a step of that job, or correct the name.",
    ),
    "AF410": Entry(
        "A template has no value when it is rendered, and no default.",
        '"{{env.NIGHT}}" while NIGHT is not set',
        "Give a default ({{env.NIGHT:x}}), set the variable, or let the step before yield it.",
    ),
    "AF420": Entry(
        "A condition compares what has no order: null, or values of unlike kinds.",
        "when: jobs.a.outputs.count > 3, and a was skipped",
        "Test for null first: jobs.a.outputs.count != null and jobs.a.outputs.count > 3.",
    ),
    "AF421": Entry(
        "A condition cannot be read.",
        "when: jobs.a.outputs.n = 3",
        "Comparisons are == != < <= > >= and in; words are and, or, not.",
    ),
    "AF422": Entry(
        "A path in a condition begins or ends with something that is not known.",
        "when: steps.a.count > 0",
        "Write jobs.JOB.outputs.KEY, jobs.JOB.status, params.NAME or env.NAME.",
    ),
    "AF430": Entry(
        "A variable of the environment is read, has no value and no default.",
        'items: "{{env.FILES}}" while FILES is not set',
        "Set it, or give a default. AETHERFLOW_VALIDATE_ENV_STRICT=true makes this an error.",
    ),
    "AF431": Entry(
        "A text holds ${VAR} where no shell reads it, so it stays as it is written.",
        "path: ${HOME}/data",
        "Write {{env.HOME}}; only a shell, as in `shell: true` or `sh -c`, replaces ${HOME}.",
    ),
    "AF432": Entry(
        "A command line shows a secret; everybody on the machine can read it in the list of processes.",
        'command: [mysql, "-p{{env.DB_PASSWORD}}"]',
        "Give it to the program by `env:`, by a file, or by `stdin`.",
    ),
    "AF433": Entry(
        "The subject of a mail shows a secret; subjects are stored and logged on the way.",
        'subject: "login {{env.API_TOKEN}}"',
        "Leave it out.",
    ),
    "AF434": Entry(
        "A job can never run, whatever happens.",
        "depends_on: [a] with when: jobs.a.status == 'FAILED'",
        "Correct its condition; a job in depends_on has ended SUCCESS when `when` is looked at.",
    ),
}
