"""What YAML makes of a text that was meant otherwise."""

from __future__ import annotations

from tests.mistakes.mistake import ITEMS, Mistake, flow, item, job, process, step

MISTAKES = [
    Mistake(
        "a key that holds anchors only (Docker Compose)",
        f"version: 1\n▶x-retry: &often {{max_attempts: 3}}\nflow: {{id: f, retry: *often}}\n"
        f"jobs:\n  - id: a\n    {ITEMS}\n",
        "AF111",
        "unknown key 'x-retry' in the flow file",
        "name a value where it is used first, `retry: &name {...}`",
        (("x-retry: &often {max_attempts: 3}\n", ""), ("*often", "&often {max_attempts: 3}")),
    ),
    Mistake(
        "an editor indents with a tab (every YAML tool)",
        f"version: 1\nflow: {{id: f}}\njobs:\n▶\t- id: a\n\t  {ITEMS}\n",
        "AF103",
        "a tab cannot indent a line",
        "indent with spaces",
        (("\t- id", "  - id"), ("\t  steps", "    steps")),
    ),
    Mistake(
        "a template without quotes (Ansible)",
        step(
            "type: check_items\ninputs:\n  items: {▶{params.x}}", "flow: {id: f, params: {x: {default: a}}}"
        ),
        "AF105",
        "a key must be a text",
        'a template needs quotes: "{{...}}"',
        (("{{params.x}}", '"{{params.x}}"'),),
    ),
    Mistake(
        "a colon and a blank in a text (Ansible)",
        step("type: check_items\ndescription: Note▶: nightly\ninputs: {items: [x]}"),
        "AF103",
        "a key cannot be here",
        "a text that holds ': ' needs quotes",
        (("Note: nightly", "'Note: nightly'"),),
    ),
    Mistake(
        "a key written twice",
        job(f"{ITEMS}\nwhen: true\n▶when: jobs.a.outputs.n > 0"),
        "AF104",
        "duplicate key 'when': it is already on line",
        "remove one of the two",
        (("    when: true\n", ""),),
    ),
    Mistake(
        "no blank after the colon",
        flow(f"- id:a\n  steps▶: {ITEMS.removeprefix('steps: ')}"),
        "AF103",
        "a key cannot be here",
        "or check the indentation and the quotes of this line and the one above",
        (("id:a", "id: a"),),
    ),
    Mistake(
        "a text that begins with % (cron, date)",
        process("command: [date]\nenv: {FMT: ▶%Y-%m}"),
        "AF103",
        "a text cannot begin with '%'",
        "put the text in quotes",
        (("%Y-%m", "'%Y-%m'"),),
    ),
    Mistake(
        "a pattern that begins with *",
        step("type: list_files\ninputs:\n  dir: .\n  pattern: *▶.csv"),
        "AF103",
        "'*' or '&' begins an alias, and no name follows",
        "put the text in quotes",
        (("*.csv", "'*.csv'"),),
    ),
    Mistake(
        "@daily without quotes (cron)",
        item("id: a\n    cron: ▶@daily\n    flow_yaml: flow.yaml"),
        "AF103",
        "a text cannot begin with '@'",
        "put the text in quotes",
        (("@daily", "'@daily'"),),
        is_schedule=True,
    ),
    Mistake(
        "*/5 without quotes (cron)",
        item("id: a\n    cron: *▶/5 * * * *\n    flow_yaml: flow.yaml"),
        "AF103",
        "'*' or '&' begins an alias, and no name follows",
        "put the text in quotes",
        (("*/5 * * * *", "'*/5 * * * *'"),),
        is_schedule=True,
    ),
    Mistake(
        "a quote that is never closed",
        process('command: [cat]\nstdin: ▶"abc'),
        "AF103",
        "a quote opens here and is never closed",
        "close it",
        (('"abc', '"abc"'),),
    ),
    Mistake(
        "a path of Windows in double quotes",
        process('command: [ls]\nenv: {DATA: "C:▶\\data"}'),
        "AF103",
        "this escape is not known in double quotes",
        "write \\\\ for a backslash, or use single quotes",
        (('"C:\\data"', "'C:\\data'"),),
    ),
    Mistake(
        "keys of a step deeper than its first key (GitHub Actions)",
        step("type: check_items\n  inputs▶: {items: [x]}"),
        "AF103",
        "a key cannot be here",
        "check the indentation",
        (("  inputs: ", "inputs: "),),
    ),
    Mistake(
        "two documents in one file (Kubernetes)",
        flow(f"- id: a\n  {ITEMS}") + "▶---\nversion: 1\n",
        "AF105",
        "a second document begins here",
        "keep one document in a file: remove '---'",
        (("---\nversion: 1\n", ""),),
    ),
    Mistake(
        "a # in a password",
        process("command: [env]\nenv:\n  DB_PASSWORD: abc ▶#def"),
        "AF440",
        "the value of 'DB_PASSWORD' ends before the '#'",
        "put the whole value in quotes",
        (("abc #def", "'abc #def'"),),
    ),
]
