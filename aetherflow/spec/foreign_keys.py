"""Say what to write instead of a key that belongs elsewhere, or that other tools have (Dagu, GitHub)."""

from __future__ import annotations

from collections.abc import Sequence

from aetherflow.spec.project import DefaultsSpec, ProjectSettings
from aetherflow.spec.suggest import nearest

_SCHEDULE = (
    "a flow has no times: a scheduler file names the flow and when it runs (aetherflow help schedules): "
    "items: [{id: nightly, cron: '0 3 * * *', flow_yaml: flow.yaml}]"
)
_PROGRAM = (
    "a step that runs a program is: type: external.process, and under it "
    "inputs: {command: [PROGRAM, ARGUMENT]}, or inputs: {shell: true, command: 'a | b'}"
)
_ENV = "variables belong to a step that runs a program: inputs: {env: {NAME: value}}"
_FILES = "variables are in files: env_files: [FILE], or dotenv: true for a file .env beside this one"
_HERE = (
    "remove it: everything runs on this machine; on a cluster (executor: dask) runs_on: LABEL chooses workers"
)
_ON_JOB = "it belongs to the job, beside `steps:`"
_ON_STEP = "it belongs to a step: indent it as deep as the step's `type:`"
_IN_FLOW = "it belongs under `flow:`"
_TOP = "it belongs at the left margin, beside `flow:`"
_IN_FLOW_FILE = "it belongs into the flow: an item only says when to run which flow (flow_yaml)"
_HOOK_OF_FLOW = "it belongs under `flow:` of the flow; what an item runs when it is late is on_late: [STEP]"
_NOTIFY = "write notify: [{to: mail, resource: smtp, recipients: [ops@example.org]}] (aetherflow help notify)"
_DEADLINE = 'write deadline: {start_within: 15m, end_by: "07:00", longer_than: 3x}, as far as needed'
_MISFIRE = "write misfire_grace_time: 5m: a firing that is late by more is not run"
_OFTEN = "write interval_seconds with a unit: interval_seconds: 5m, or 2h"
_NAMED = "write cron: '@daily', or with a time of day: cron: '0 4 * * *'"
_ZONE = "write timezone: Europe/Berlin"
_AFTER = "write after: [ITEM]: the item waits for the runs of those items of the same day"
_INSTANCES = (
    "write max_instances: 1; what happens to a firing meanwhile is overlap: skip, queue or cancel_running"
)
_DISABLED = "write enabled: false; for a while: aetherflow scheduler pause ITEM --for 2h --reason TEXT"
_BOUNDS = "a first time is interval: {every: 1d, anchor: 2026-01-01T04:00}; a last one is UNTIL of an rrule"
_DATES = "dates belong to a calendar: calendars: {NAME: {exclude: [2026-12-25]}}, and calendar: NAME here"
_WINDOW = 'write not_between: ["22:00-23:30"]'
_EVERY = "write every with a unit: every: 5m, 2h, 3d or 2w"
_ANCHOR = "write anchor: 2026-01-01T04:00, the first time"
_LIST = "write for_each: [a, b], or a template that gives a list; steps read {{item}}"
_ANCHORS = (
    "there is no place for anchors alone: name a value where it is used first, `retry: &name {...}`, and "
    "then write `retry: *name` or `<<: *name`; defaults of all flows are in aetherflow.yaml (help projects)"
)
_OTHER_FAILURE = "use a job with when: jobs.ID.status == 'FAILED', or flow.on_failure"

_MESSAGES = (
    "notifications",
    "notification",
    "alerts",
    "alert",
    "email",
    "emails",
    "mail",
    "slack",
    "webhook",
)
_TIMES = dict.fromkeys(
    ("schedule", "cron", "schedules", "schedule_interval", "trigger", "triggers", "on"), _SCHEDULE
)
_PLACES = dict.fromkeys(
    ("runs-on", "container", "image", "hosts", "queue", "agent", "worker", "workers", "cluster", "labels"),
    _HERE,
)
_MATRIX = "write for_each: {matrix: {day: [mon, tue]}}; steps read {{item.day}}"
_LISTS = {
    **dict.fromkeys(("with_items", "parallel"), _LIST),
    **dict.fromkeys(("strategy", "matrix"), _MATRIX),
}

_HINTS: dict[str, dict[str, str]] = {
    "StepSpec": {
        **dict.fromkeys(("run", "script", "shell", "bash", "sh", "python", "exec"), _PROGRAM),
        **dict.fromkeys(("when", "if", "for_each", "loop", "depends_on", "needs", "depends"), _ON_JOB),
        **_PLACES,
        **_LISTS,
        "register": 'name what others read: outputs: {KEY: "{{result.stdout}}"}',
    },
    "JobSpec": {
        **dict.fromkeys(
            ("inputs", "type", "on_no_data", "outputs", "continue_on_error", "command"), _ON_STEP
        ),
        **dict.fromkeys(("run", "script", "shell"), f"it belongs to a step of `steps:`. {_PROGRAM}"),
        **dict.fromkeys(("env", "environment", "vars", "variables"), _ENV),
        **dict.fromkeys(
            ("on_failure", "on_success", "on_exit"), f"it belongs under `flow:`; {_OTHER_FAILURE}"
        ),
        **_PLACES,
        **_LISTS,
        **_TIMES,
    },
    "FlowMeta": {
        **dict.fromkeys(_MESSAGES, _NOTIFY),
        **dict.fromkeys(("env", "environment", "vars", "variables"), _ENV),
        **dict.fromkeys(("jobs", "resources", "version"), _TOP),
        "steps": "steps belong to a job: jobs: [{id: NAME, steps: [...]}]",
        **_TIMES,
    },
    "FlowFile": {
        **dict.fromkeys(("env", "environment", "vars", "variables"), _ENV),
        **dict.fromkeys(
            ("params", "workspace", "state", "locks", "max_parallel_jobs", "fail_fast", "on_stale"), _IN_FLOW
        ),
        **dict.fromkeys(("id", "description", "timeout_seconds", "retry"), _IN_FLOW),
        **dict.fromkeys(("on_success", "on_failure", "on_exit", "timezone"), _IN_FLOW),
        **dict.fromkeys(("defaults", "default", "anchors", "aliases", "templates", "common"), _ANCHORS),
        "name": "write it as the id of the flow: flow: {id: NAME}",
        "steps": "steps belong to a job: jobs: [{id: NAME, steps: [...]}]",
        **_TIMES,
    },
    "ProjectFile": {
        **dict.fromkeys(ProjectSettings.__struct_fields__, "it belongs under `settings:`"),
        **dict.fromkeys(DefaultsSpec.__struct_fields__, "it belongs under `defaults:`"),
        **dict.fromkeys(("env", "environment", "vars", "variables"), _FILES),
    },
    "NotifySpec": {
        **dict.fromkeys(("type", "kind", "channel", "via", "by"), "write to: mail, webhook or command"),
        **dict.fromkeys(("when", "events", "event", "if"), "write on: [failure, recovery, late, success]"),
        **dict.fromkeys(("email", "emails", "address", "addresses"), "write recipients: [ops@example.org]"),
        **dict.fromkeys(("text", "message", "payload", "json", "data"), "write it as the body"),
        **dict.fromkeys(("webhook", "webhook_url", "uri", "endpoint", "path"), "write it as the url"),
        **dict.fromkeys(("run", "script", "program", "args"), "write command: [PROGRAM, ARGUMENT]"),
    },
    "ScheduleFile": dict.fromkeys(_MESSAGES, _NOTIFY),
    "ItemSpec": {
        **dict.fromkeys(_MESSAGES, _NOTIFY),
        **dict.fromkeys(("command", "run", "script", "steps", "jobs", "env"), _IN_FLOW_FILE),
        **dict.fromkeys(("on_success", "on_failure", "on_exit"), _HOOK_OF_FLOW),
        **dict.fromkeys(("sla", "expected_by", "late_after"), _DEADLINE),
        **dict.fromkeys(("startingDeadlineSeconds", "misfire", "grace_time"), _MISFIRE),
        **dict.fromkeys(("retry", "retries", "max_retries", "locks", "when", "inputs"), _IN_FLOW_FILE),
        **dict.fromkeys(("seconds", "minutes", "hours", "every_minutes", "every_hours"), _OFTEN),
        **dict.fromkeys(("interval_minutes", "interval_hours", "frequency", "period"), _OFTEN),
        **dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), _NAMED),
        **dict.fromkeys(("CRON_TZ", "cron_tz", "TZ", "zone", "time_zone"), _ZONE),
        **dict.fromkeys(("depends_on", "needs", "depends", "dependencies", "upstream", "requires"), _AFTER),
        **dict.fromkeys(("concurrency", "concurrencyPolicy", "concurrency_policy", "max_runs"), _INSTANCES),
        **dict.fromkeys(("suspend", "suspended", "disabled", "paused", "pause", "active"), _DISABLED),
        **dict.fromkeys(("start", "end", "start_date", "end_date", "begin", "until", "from"), _BOUNDS),
        **dict.fromkeys(("holidays", "exclude", "exclude_dates", "skip_dates"), _DATES),
        **dict.fromkeys(("blackout", "blackouts", "maintenance", "not_during"), _WINDOW),
    },
    "IntervalSpec": {
        **dict.fromkeys(("seconds", "minutes", "hours", "days", "weeks"), _EVERY),
        **dict.fromkeys(("start", "start_date", "begin", "from", "first", "at"), _ANCHOR),
    },
}
"""By the Struct of the mapping that has the key."""


def foreign_key_hint(struct: str, key: str) -> str:
    """Return what to do about an unknown key of a mapping, or an empty text; `struct` is its class's name."""
    if key.startswith(("x-", ".")):
        return _ANCHORS
    return _HINTS.get(struct, {}).get(key, "")


def missing_key_hint(struct: str, key: str) -> str:
    """Return what to do about a missing key where an example of its value is not enough, or an empty text."""
    if (struct, key) == ("IntervalSpec", "anchor"):
        return "add the first time, 'anchor: 2026-01-01T04:00'; without one, write interval_seconds instead"
    return ""


def unknown_key_hint(struct: str, known_keys: str) -> str:
    """Return what to do about an unknown key of which nothing is known."""
    if struct == "StepSpec":
        return f"an input of the step's type belongs under `inputs:`, indented; {known_keys}"
    return known_keys


def meant_key(struct: str, key: str, free: Sequence[str]) -> str:
    """Return the free key that was probably meant by an unknown one, or an empty text."""
    return "" if foreign_key_hint(struct, key) else nearest(key, free)
