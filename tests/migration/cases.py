"""What files of AetherFlow 0.0 mean, and how the same is written here: one row for each difference."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A part of a file, what is found in it, and what is written.

    Attributes:
        about: what differs.
        old: lines of the old file.
        new: the same lines in the written file; those of the old one if a person has to decide.
        codes: the codes of the differences, `!` behind one that a person has to decide.
    """

    about: str
    old: str
    new: str
    codes: str


HEAD = """\
version: 1
flow:
  id: f
  workspace: {root: /srv/work}
  state: {path: /srv/state.sqlite}
"""
MARK = """\
  max_parallel_jobs: 1
  fail_fast: true
"""
JOB = """\
jobs:
  - id: a
    steps:
      - id: s
        type: check_items
        inputs: {items: "x,y"}
        outputs: {yes_or_no: "{{result.has_data}}", n: "{{result.count}}", word: "{{env.WORD}}"}
      - id: o
        type: external.process
        inputs: {command: e, cwd: /, log: {stdout: capture}}
        outputs: {printed: "{{result.stdout}}"}
"""


def _process(inputs: str) -> str:
    return f"      - {{id: p, type: external.process, inputs: {{cwd: /, {inputs}}}}}\n"


def process(about: str, old: str, new: str, codes: str) -> Row:
    """Return a row about inputs of external.process."""
    return Row(about, _process(old), _process(new), codes)


def when(about: str, old: str, new: str, codes: str) -> Row:
    """Return a row about a condition."""
    steps = "    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n"
    return Row(
        about, f"  - id: b\n    when: {old}\n{steps}", f"  - id: b\n    when: {new or old}\n{steps}", codes
    )


STEPS = (
    Row(
        "keys that were ignored",
        "      - id: t\n        note: none  # of 0.0\n        type: check_items\n"
        "        inputs: {items: [x], hint: 1}\n",
        "      - id: t\n        type: check_items\n        inputs: {items: [x]}\n",
        "AF172 AF172",
    ),
    Row(
        "keys that were ignored and would count here",
        "      - id: t\n        type: check_items\n        inputs: {items: [x]}\n"
        "        timeout_seconds: 1\n",
        "      - id: t\n        type: check_items\n        inputs: {items: [x]}\n",
        "AF172",
    ),
    Row(
        "a description that is empty",
        "  - id: b\n    description:\n    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n",
        "  - id: b\n    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n",
        "AF172",
    ),
    Row(
        "a text as truth value of a resource",
        "resources:\n  d: {kind: db, driver: sqlalchemy, config: {url: x}, options: {pool_pre_ping: 'no'}}\n",
        "resources:\n  d: {kind: db, driver: sqlalchemy, config: {url: x}, options: {pool_pre_ping: true}}\n",
        "AF180",
    ),
    Row(
        "the last of two equal keys counts",
        "      - {id: t, type: check_items, inputs: {items: [x], items: [y]}}\n",
        "      - {id: t, type: check_items, inputs: {items: [y]}}\n",
        "AF172",
    ),
    Row(
        "a number as text",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: '1'}}\n",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: 1}}\n",
        "AF180",
    ),
    Row(
        "a template as a number stays",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: '{{env.N}}'}}\n",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: '{{env.N}}'}}\n",
        "",
    ),
    Row(
        "an octal number",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: 01}}\n",
        "      - {id: t, type: check_items, inputs: {items: [x], min_count: 01}}\n",
        "",
    ),
    Row(
        "octal, binary and sexagesimal numbers, and words for true and false",
        "      - {id: t, type: check_items, inputs: {items: [010, 0b11, 1_000, 12:30, yes, Off]}}\n",
        "      - {id: t, type: check_items, inputs: {items: [8, 3, 1000, 750, true, false]}}\n",
        "AF171 AF171 AF171 AF171 AF171 AF171",
    ),
    Row(
        "what was a text, and is a number here",
        "      - {id: t, type: check_items, inputs: {items: [1e3, 0o17, 2026-01-31]}}\n",
        '      - {id: t, type: check_items, inputs: {items: ["1e3", "0o17", 2026-01-31]}}\n',
        "AF171 AF171",
    ),
    Row(
        "the step in a lock has an id of its own",
        "      - {id: t, type: with_lock, inputs: {lock_key: k, step: {type: check_items, "
        "inputs: {items: [x]}}}}\n",
        "      - {id: t, type: with_lock, inputs: {lock_key: k, step: "
        "{type: check_items, inputs: {items: [x]}, id: t_inner}}}\n",
        "AF180",
    ),
    Row(
        "keys of the step in a lock that have no effect",
        "      - {id: t, type: with_lock, inputs: {lock_key: k, step: "
        "{id: i, type: check_items, on_no_data: skip_job, inputs: {items: [x]}}}}\n",
        "      - {id: t, type: with_lock, inputs: {lock_key: k, step: "
        "{id: i, type: check_items, inputs: {items: [x]}}}}\n",
        "AF172",
    ),
    Row(
        "an id that is no name of a folder",
        "      - {id: my step, type: check_items, inputs: {items: [x]}}\n",
        '      - {id: "my_step", type: check_items, inputs: {items: [x]}}\n',
        "AF179",
    ),
    Row(
        "a job without steps",
        "  - id: b\n    steps: []\n",
        "  - id: b\n    steps: [{id: nothing, type: check_items, inputs: {items: [nothing]}}]\n",
        "AF170",
    ),
    Row(
        "a job that is renamed where others depend on it, too",
        "  - id: b c\n    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n"
        "  - id: d\n    depends_on: [a, b c]\n"
        "    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n",
        '  - id: "b_c"\n    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n'
        '  - id: d\n    depends_on: [a, "b_c"]\n'
        "    steps: [{id: s, type: check_items, inputs: {items: [x]}}]\n",
        "AF179",
    ),
)

PROCESSES = (
    process(
        "a folder that is not the job's",
        "command: e, idempotency: {strategy: atomic_dir, temp_output_dir: t, final_output_dir: /srv/out}",
        "command: e, idempotency: {strategy: atomic_dir, temp_output_dir: t, final_output_dir: /srv/out}",
        "AF175!",
    ),
    Row(
        "a job that has not run yet",
        "      - {id: p, type: check_items, inputs: {items: '{{jobs.b.outputs.n:x}}'}}\n"
        "  - {id: b, steps: [{id: s, type: check_items, inputs: {items: '{{jobs.a.outputs.n}}'}}]}\n",
        "      - {id: p, type: check_items, inputs: {items: '{{jobs.b.outputs.n:x}}'}}\n"
        "  - {id: b, steps: [{id: s, type: check_items, inputs: {items: '{{jobs.a.outputs.n}}'}}]}\n",
        "AF174!",
    ),
    process("null for a number", "command: e, timeout_seconds: ~", "command: e", "AF180"),
    process(
        "words as Python writes them",
        "command: [e, true, ~, 3.10, 007]",
        'command: [e, "True", "None", "3.1", "7"]',
        "AF171 AF171 AF171 AF171",
    ),
    process(
        "whole numbers and texts are the same",
        "command: [e, 1, x], args: ['007']",
        "command: [e, 1, x], args: ['007']",
        "",
    ),
    process(
        "variables as Python writes them",
        "command: e, env: {D: yes, N: ~, M: 1}",
        'command: e, env: {D: "True", N: ~, M: 1}',
        "AF171",
    ),
    process(
        "a mapping in a command line",
        "command: [curl, -H, {Accept: json}]",
        "command: [curl, -H, \"{'Accept': 'json'}\"]",
        "AF171",
    ),
    process(
        "any text was true", "command: [e], inherit_env: 'false'", "command: [e], inherit_env: true", "AF180"
    ),
    process(
        "no exit codes, no retry",
        "command: e, retry: {max_attempts: 3}",
        "command: e, retry: {max_attempts: 3, retry_on_exit_codes: []}",
        "AF175",
    ),
    process(
        "exit codes as text",
        "command: e, retry: {max_attempts: 3, retry_on_exit_codes: ['7', 8]}",
        "command: e, retry: {max_attempts: 3, retry_on_exit_codes: [7, 8]}",
        "AF180",
    ),
    process(
        "spellings that 0.0 did not know",
        "command: e, retry: {max_attempts: 1, sleep_seconds: 5}",
        "command: e, retry: {max_attempts: 1}",
        "AF172",
    ),
    process(
        "checks that were not made",
        "command: e, success: {required_files: [x]}",
        "command: e, success: {}",
        "AF172",
    ),
    process(
        "a command line for a shell",
        "command: echo hi | wc, shell: true",
        'command: ["echo hi | wc"], shell: true',
        "AF175",
    ),
    process("one word for a shell", "command: ls, shell: true", "command: ls, shell: true", ""),
    process(
        "a list for a shell", "command: [echo, $HOME], shell: true", "command: [echo, $HOME], shell: true", ""
    ),
    process(
        "the case of a strategy",
        "command: e, idempotency: {strategy: NONE}",
        "command: e, idempotency: {strategy: none}",
        "AF180",
    ),
    process(
        "a marker that the program may not write",
        "command: e, idempotency: {strategy: marker, marker_path: done}",
        "command: e, idempotency: {strategy: marker, marker_path: done}",
        "AF175!",
    ),
    process(
        "a time limit in base 60",
        "command: e, timeout_seconds: 1:30",
        "command: e, timeout_seconds: 90",
        "AF171",
    ),
    process(
        "blanks of a default", "command: [e, '{{ env.X: none}}']", 'command: [e, "{{env.X: none}}"]', "AF174"
    ),
    process(
        "blanks behind a default in longer text",
        "command: [e, 'x={{env.X:none }}']",
        'command: [e, "x={{env.X:none}}"]',
        "AF174",
    ),
    process(
        "a truth value in longer text",
        "command: [e, 'x={{steps.s.has_data}}']",
        "command: [e, 'x={{steps.s.has_data}}']",
        "AF174!",
    ),
    process(
        "a truth value alone", "command: [e, '{{steps.s.count}}']", "command: [e, '{{steps.s.count}}']", ""
    ),
)

CONDITIONS = (
    when("what is the same", "jobs.a.outputs.yes_or_no == true and jobs.a.outputs.n > 1", "", ""),
    when("a status", "jobs.a.status == 'SUCCESS' or not jobs.a.outputs.yes_or_no", "", ""),
    when("a comment in the text", '"jobs.a.outputs.n > 1 # more"', '"jobs.a.outputs.n > 1"', "AF173"),
    when(
        "numbers of Python",
        "jobs.a.outputs.n > 0x10 or jobs.a.outputs.n == 1_000",
        '"jobs.a.outputs.n > 16 or jobs.a.outputs.n == 1000"',
        "AF173",
    ),
    when("escapes of Python", r"jobs.a.outputs.word == 'a\x62'", "\"jobs.a.outputs.word == 'ab'\"", "AF173"),
    when("any text is true", "jobs.a.outputs.word", "", "AF173!"),
    when("a text is no number", "jobs.a.outputs.word == 3", "", "AF173!"),
    when("a text is no truth value", "jobs.a.outputs.word == true", "", "AF173!"),
    when("texts that look like numbers have an order of texts", "jobs.a.outputs.word > '9'", "", "AF173!"),
    when("dates are ordered the same", "jobs.a.outputs.word > '2026-01-31'", "", ""),
    when("truth values have no order", "jobs.a.outputs.yes_or_no > 0", "", "AF173!"),
    when("texts of two jobs may be numbers", "jobs.a.outputs.word < jobs.a.outputs.word", "", "AF173!"),
    when("captured output kept its last line end", "jobs.a.outputs.printed == 'ok'", "", "AF173!"),
    when("a key that no step gives", "jobs.a.outputs.wrod == 'x'", "", "AF173!"),
    when("a job that is not before this one", "jobs.z.status == 'SUCCESS'", "", "AF173!"),
    when("why a job was skipped", "jobs.a.skip_reason == 'x'", "", "AF173!"),
)

ITEM = "version: 1\ntimezone: UTC\nitems:\n  - {id: i, flow_yaml: f.yaml, cron: '%s'}\n"


def cron(about: str, old: str, new: str, codes: str = "AF177") -> Row:
    """Return a row about the day fields of an expression."""
    quoted = f"'{old}'" if old == new else f'"{new}"'
    return Row(about, ITEM % old, (ITEM % old).replace(f"'{old}'", quoted), codes)


def both(about: str, old: str, new: str, days: str) -> Row:
    """Return a row about an expression whose day and weekday must both fit."""
    name = "only_" + days.replace(", ", "_").replace("-", "_to_")
    item = (ITEM % old).replace(f"cron: '{old}'", f'cron: "{new}", calendar: {name}')
    calendar = f"calendars: {{{name}: {{weekdays: [{days}]}}}}\n"
    return Row(about, ITEM % old, item + calendar, "AF177 AF177")


SCHEDULES = (
    cron("Monday is 0", "0 6 * * 0", "0 6 * * mon"),
    cron("a range of weekdays", "0 6 * * 1-5", "0 6 * * tue-sat"),
    cron("two weekdays", "0 6 * * 0,6", "0 6 * * mon,sun"),
    cron("steps of weekdays", "0 6 * * */2", "0 6 * * mon,wed,fri,sun"),
    cron("all weekdays", "0 6 * * 0-6", "0 6 * * *"),
    cron("names are the same", "0 6 * * mon-fri", "0 6 * * mon-fri", ""),
    cron("the last day", "0 6 last * *", "0 6 L * *"),
    cron("steps of days, and weekdays", "0 6 */2 * mon", "0 6 */2 * mon", ""),
    both("the first Monday", "0 6 1-7 * mon", "0 6 1-7 * *", "mon"),
    both("Friday the 13th, by number", "0 6 13 * 4", "0 6 13 * *", "fri"),
    both("the last day, if people work", "0 6 last * mon-fri", "0 6 L * *", "mon-fri"),
    Row(
        "the usual time zone",
        "version: 1\nitems:\n  - id: i\n    cron: '@daily'\n    flow_yaml: f.yaml\n",
        "version: 1\nitems:\n  - id: i\n    cron: '@daily'\n    flow_yaml: f.yaml\ntimezone: Europe/Berlin\n",
        "AF177 AF177!",
    ),
    Row(
        "another name of flow_yaml",
        "version: 1\ntimezone: UTC\nitems:\n  - {id: i, cron: '0 6 * * *', flow_yaml: '', flow: f.yaml}\n",
        "version: 1\ntimezone: UTC\nitems:\n  - {id: i, cron: '0 6 * * *', flow_yaml: \"f.yaml\"}\n",
        "AF178",
    ),
    Row(
        "a bundle",
        "version: 1\ntimezone: UTC\nitems:\n  - id: i\n    cron: 0 6 * * *\n    flow_yaml: ''\n"
        "    bundle_manifest: b.yaml\n",
        "version: 1\ntimezone: UTC\nitems:\n  - id: i\n    cron: 0 6 * * *\n    bundle_manifest: b.yaml\n",
        "AF178",
    ),
    Row(
        "an empty bundle and an empty job",
        "version: 1\ntimezone: UTC\nitems:\n  - id: i\n    cron: 0 6 * * *\n    flow_yaml: f.yaml\n"
        "    bundle_manifest: ''\n    flow_job: \"\"\n",
        "version: 1\ntimezone: UTC\nitems:\n  - id: i\n    cron: 0 6 * * *\n    flow_yaml: f.yaml\n",
        "AF178 AF178",
    ),
    Row(
        "values as text",
        (ITEM % "0 6 * * mon").replace("}", ", allow_stale_bundle: 'no', misfire_grace_time: '60'}"),
        (ITEM % "0 6 * * mon").replace("}", ", allow_stale_bundle: false, misfire_grace_time: 60}"),
        "AF178 AF178",
    ),
    Row(
        "any id",
        "version: '1'\ntimezone: UTC\nitems:\n  - {id: every day, cron: 0 6 * * *, flow_yaml: f.yaml}\n",
        'version: 1\ntimezone: UTC\nitems:\n  - {id: "every_day", cron: 0 6 * * *, flow_yaml: f.yaml}\n',
        "AF176 AF179",
    ),
)

MANIFEST = "bundle:\n  id: b\n  entry_flow: flows/f.yaml\n  source: {type: filesystem, base_path: src}\n"
MANIFESTS = (
    Row("no version", MANIFEST, f"version: 1\n{MANIFEST}", "AF176"),
    Row(
        "archive drivers of enterprise mode",
        f"version: 1\nmode: enterprise\n{MANIFEST}",
        f"version: 1\nmode: enterprise\n{MANIFEST}zip_drivers: [pyzipper, zipfile]\n",
        "AF182",
    ),
    Row(
        "the usual source",
        f"version: 1\n{MANIFEST}".replace("type: filesystem, ", ""),
        f"version: 1\n{MANIFEST}".replace(
            "type: filesystem, base_path: src", "base_path: src, type: filesystem"
        ),
        "AF182",
    ),
    Row(
        "a source that is no longer built in",
        f"version: 1\n{MANIFEST}".replace("filesystem", "sftp"),
        f"version: 1\n{MANIFEST}".replace("filesystem", "sftp"),
        "AF182!",
    ),
)
