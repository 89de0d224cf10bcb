"""Say what to write instead of a path of a template that leads nowhere. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aetherflow.language.token_hints import literal
from aetherflow.spec.suggest import did_you_mean

_PARAM = "write {{params.NAME}}, and declare the parameter under flow.params"
_OUTPUT = "write {{steps.STEP.KEY}} for a step of this job, {{jobs.JOB.outputs.KEY}} for another job"
_DAY = "write {{run.date}}"
_TIME = "write {{run.scheduled_at}}"
_ITEM = "only a job with for_each has an item: add for_each: [a, b] to the job"

_OTHER_TOOLS_SAY: dict[str, str] = {
    **dict.fromkeys(("ds", "date", "now"), _DAY),
    **dict.fromkeys(("ds_nodash", "ts_nodash"), "write {{run.date | format: %Y%m%d}}"),
    **dict.fromkeys(("yesterday_ds", "prev_ds"), "write {{run.date - 1d}}"),
    **dict.fromkeys(("tomorrow_ds", "next_ds", "tomorrow"), "write {{run.date + 1d}}"),
    **dict.fromkeys(
        ("execution_date", "logical_date", "ts", "data_interval_start", "data_interval_end"), _TIME
    ),
    **dict.fromkeys(("inputs", "input", "vars", "var", "variables", "args", "conf", "dag_run"), _PARAM),
    **dict.fromkeys(("outputs", "output", "ti", "task_instance", "tasks", "needs"), _OUTPUT),
    **dict.fromkeys(("item", "item_index", "matrix", "each"), _ITEM),
    "result": "only the `outputs:` of a step see its own result; others read {{steps.STEP.KEY}}",
    "secrets": "write {{env.NAME}} in a resource, or {secret: ...}: aetherflow help secrets",
    "github": "write {{run_id}}, {{flow_id}}, {{params.NAME}} or {{env.NAME}}",
    **{word: f"to have it as it is, write {literal(f'{{{{{word}}}}}')}" for word in ("end", "else")},
    "dag": "write {{flow_id}}",
}


def root_hint(
    path: tuple[str, ...],
    roots: Collection[str],
    jobs: Collection[str],
    steps: Collection[str],
    *,
    has_items: bool,
) -> str:
    """Return what to write instead of a path whose first part is not known.

    `steps` are those of the job it is in; `has_items` is whether that job has a for_each.
    """
    root, *rest = path
    if root in steps and rest:
        return f"write {{{{steps.{'.'.join(path)}}}}}"
    if root in jobs:
        return f"write {{{{jobs.{root}.outputs.{rest[-1] if rest else 'KEY'}}}}}"
    if has_items and root in ("matrix", "each"):
        return f"write {{{{{'.'.join(('item', *rest))}}}}}"
    if (hint := _OTHER_TOOLS_SAY.get(root, "")) and not (has_items and hint == _ITEM):
        return hint
    if root.isupper() and not rest:
        return f"write {{{{env.{root}}}}} for the environment variable"
    return did_you_mean(root, roots) or f"what is known here: {', '.join(roots)}"


def job_path_hint(job: str, rest: tuple[str, ...], outputs: Collection[str]) -> str:
    """Return what to write instead of `jobs.JOB.REST`."""
    meant = next((part for part in reversed(rest) if part in outputs), "")
    if not meant and len(rest) > 1:
        meant = rest[-1]
    return (
        f"write jobs.{job}.outputs.{meant}" if meant else f"write jobs.{job}.outputs.KEY or jobs.{job}.status"
    )


def own_job_hint(rest: tuple[str, ...], outputs: Mapping[str, Collection[str]]) -> str:
    """Return what to write instead of `job.REST`; `outputs` are those of all jobs."""
    if rest and rest[0] in outputs:
        return job_path_hint(rest[0], rest[1:], outputs[rest[0]])
    return "write job.outputs.KEY for an earlier output of this job, jobs.JOB.outputs.KEY for another job"
