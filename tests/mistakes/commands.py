"""Command lines that no shell reads, values in scripts, and files of other jobs."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake, flow, process

MESSAGE = "flow: {id: f, params: {message: {default: hello}}}"

MISTAKES = [
    Mistake(
        "a pipe without a shell (cron, Dagu)",
        process("▶command: echo hi | wc"),
        "AF436",
        "'echo hi | wc' would be looked for as one program",
        "add `shell: true` beside it",
        (("command: echo hi | wc", "command: echo hi | wc\n          shell: true"),),
    ),
    Mistake(
        "a command line in one text (cron, Dagu)",
        process("▶command: python load.py --all"),
        "AF436",
        "a text is the name of one program",
        'write a list: command: ["python", "load.py", "--all"]',
        (("python load.py --all", '["python", "load.py", "--all"]'),),
    ),
    Mistake(
        "a redirection in a list",
        process("command: [echo, hello, '▶>', out.txt]"),
        "AF437",
        "'>' is an argument like any other",
        'shell: true beside it: command: "echo hello > out.txt"',
        (("[echo, hello, '>', out.txt]", '"echo hello > out.txt"\n          shell: true'),),
    ),
    Mistake(
        "$HOME without a shell (cron, Docker)",
        process("command: [ls, ▶$HOME]"),
        "AF431",
        "$HOME stays as it is written: no shell reads this text",
        "write {{env.HOME}}",
        (("$HOME", "'{{env.HOME}}'"),),
    ),
    Mistake(
        "a value inside a script (GitHub Actions: script injection)",
        process("command: [sh, -c, 'echo {{▶params.message}}']", MESSAGE),
        "AF438",
        "{{params.message}} becomes part of the script",
        'env: {MESSAGE: "{{params.message}}"}, and write "$MESSAGE" in the script',
        (
            (
                "'echo {{params.message}}']",
                '\'echo "$MESSAGE"\']\n          env: {MESSAGE: "{{params.message}}"}',
            ),
        ),
    ),
    Mistake(
        "a value inside a script of Python",
        process("command: [python3, -c, 'print(\"{{▶params.message}}\")']", MESSAGE),
        "AF438",
        "{{params.message}} becomes part of the script",
        'os.environ["MESSAGE"]',
        (
            (
                "'print(\"{{params.message}}\")']",
                (
                    "'import os; print(os.environ[\"MESSAGE\"])']\n"
                    '          env: {MESSAGE: "{{params.message}}"}'
                ),
            ),
        ),
    ),
    Mistake(
        "${params.message} inside a script (Dagu)",
        process("command: [sh, -c, 'echo ▶${params.message}']", MESSAGE),
        "AF435",
        "${params.message} stays as it is written",
        'env: {MESSAGE: "{{params.message}}"}',
        (
            (
                "'echo ${params.message}']",
                '\'echo "$MESSAGE"\']\n          env: {MESSAGE: "{{params.message}}"}',
            ),
        ),
    ),
    Mistake(
        "a secret in the command line (cron)",
        process("command: [mysql, '▶--password={{env.DB_PASSWORD:x}}']"),
        "AF432",
        "the command line shows a secret",
        "give it by `env: {NAME: ...}`",
        (
            ("'--password={{env.DB_PASSWORD:x}}'", "--batch"),
            ("--batch]", "--batch]\n          env: {MYSQL_PWD: '{{env.DB_PASSWORD:x}}'}"),
        ),
    ),
    Mistake(
        "a file that another job wrote into its own folder (GitHub Actions: artifacts)",
        flow(
            "- id: make\n"
            "  steps:\n"
            "    - id: s\n"
            "      type: external.process\n"
            "      inputs: {command: [touch, x.csv], success: {require_files: [x.csv]}}\n"
            "- id: use\n"
            "  depends_on: [make]\n"
            "  steps:\n"
            "    - {id: t, type: external.process, inputs: {command: [cat, ▶x.csv]}}"
        ),
        "AF439",
        "job 'make' writes 'x.csv' into its own folder; job 'use' has another",
        "make them steps of one job, which share a folder",
        (("  - id: use\n    depends_on: [make]\n    steps:\n", ""),),
    ),
    Mistake(
        "a file that another job writes at the same time (Airflow: a missing dependency)",
        flow(
            "- id: make\n"
            "  steps:\n"
            "    - id: s\n"
            "      type: external.process\n"
            "      inputs: {command: [touch, /data/x], success: {require_files: [/data/x]}}\n"
            "- id: use\n"
            "  steps:\n"
            "    - {id: t, type: external.process, inputs: {command: [cat, ▶/data/x]}}"
        ),
        "AF439",
        "nothing makes job 'use' wait for it",
        "add depends_on: [make] to job 'use'",
        (("- id: use\n", "- id: use\n    depends_on: [make]\n"),),
    ),
]
