"""Warn about a file that one job writes and another reads, where the two cannot meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow.check.planned_steps import Use, uses_of
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import JobPlan, Plan, downstream, upstream

_WRITES = {
    "db_extract": ("output",),
    "db_extract_stream": ("output",),
    "zip": ("dest_path", "dst"),
    "external.process": (),
}
_READS = {
    "db_load": ("source_path",),
    "zip": ("items", "src"),
    "unzip": ("archives", "src"),
    **{f"{kind}_upload_files": ("items", "local_files") for kind in ("sftp", "smb", "file")},
    "mail_send": ("attachments",),
}
"""The inputs of the steps that ship which name files that are written or read."""

_READERS = frozenset(
    ("cat", "head", "tail", "wc", "grep", "sort", "uniq", "md5sum", "sha256sum", "file", "jq")
)
_ELSEWHERE = ("/", "~", "{{")
"""How the name of a file begins that is not in the artifacts of a job."""
_MAY_DIFFER = ("{{item", "{{ item", "{{steps.", "{{ steps.", "{{job.", "{{ job.", "{{jobs.", "{{ jobs.")


class _File(msgspec.Struct, frozen=True):
    """A file that a step of a job names."""

    name: str
    job: int
    step: str
    where: Path
    result_key: str = ""


def check_shared_files(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each file that a job reads and that only another job writes (AF439)."""
    written: dict[str, dict[int, _File]] = {}  # by name and job
    for job in plan.jobs:
        for file in _written_by(job, plan):
            written.setdefault(file.name, {}).setdefault(job.index, file)
    if not written:
        return
    ordered: dict[int, set[int]] = {}  # by job: those that end before it or start after it
    for job in plan.jobs:
        for file in _read_first(job, plan):
            writers = written.get(file.name, {})
            if not writers or job.index in writers:
                continue
            writer = next(iter(writers.values()))
            if file.name.startswith(_ELSEWHERE):
                if writer.job not in ordered:
                    name = plan.jobs[writer.job].id
                    ordered[writer.job] = upstream(plan, [name]) | downstream(plan, [name])
                if job.index in ordered[writer.job]:
                    continue
            _report(file, writer, plan, sink)


def _report(file: _File, writer: _File, plan: Plan, sink: DiagnosticSink) -> None:
    here, there = plan.jobs[file.job], plan.jobs[writer.job]
    if file.name.startswith(_ELSEWHERE):
        message = f"job {there.id!r} writes {file.name!r}, and nothing makes job {here.id!r} wait for it"
        hint = f"add depends_on: [{there.id}] to job {here.id!r}"
    else:
        message = f"job {there.id!r} writes {file.name!r} into its own folder; job {here.id!r} has another"
        hint = "make them steps of one job, which share a folder"
        if writer.result_key:
            output = f'outputs: {{file: "{{{{result.{writer.result_key}}}}}"}}'
            hint = (
                f"give {there.id}.{writer.step} {output}, and write {{{{jobs.{there.id}.outputs.file}}}} here"
            )
    sink.add(sink.text_place(file.where, 0), "AF439", message, hint, "warning")


def _written_by(job: JobPlan, plan: Plan) -> Iterator[_File]:
    for use, step in _uses(job, plan):
        name = use.step_type.name if use.step_type else ""
        for key in _WRITES.get(name, ()):
            yield from _files(use.inputs.get(key), job, step, (*use.base, key), _result_key(use))
        success = use.inputs.get("success")
        if isinstance(success, dict):
            for key in ("require_files", "required_files"):
                yield from _files(success.get(key), job, step, (*use.base, "success", key), "")


def _read_first(job: JobPlan, plan: Plan) -> Iterator[_File]:
    """Yield the files that a job reads before any program of its own could have written them."""
    for use, step in _uses(job, plan):
        name = use.step_type.name if use.step_type else ""
        for key in _READS.get(name, ()):
            yield from _files(use.inputs.get(key), job, step, (*use.base, key), "")
        if name not in _READS and name not in _WRITES and name not in ("check_items", "with_lock"):
            return  # a step of which nothing is known may write any file
        if name == "external.process":
            yield from _read_by_program(use, job, step)
            return


def _read_by_program(use: Use, job: JobPlan, step: str) -> Iterator[_File]:
    from aetherflow.check.scripts import words_of  # noqa: PLC0415 - not every flow runs a program

    words = [*words_of(use)]
    if words and words[0][0].rpartition("/")[2] in _READERS and not use.inputs.get("cwd"):
        for word, where in words[1:]:
            yield from _files(word, job, step, where, "")


def _uses(job: JobPlan, plan: Plan) -> Iterator[tuple[Use, str]]:
    for number, step in job.written_steps():
        for use in uses_of(step, ("jobs", job.index, "steps", number), plan.step_types):
            yield use, step.spec.id


def _files(value: Any, job: JobPlan, step: str, where: Path, result_key: str) -> Iterator[_File]:
    if isinstance(value, str) and value and not any(one in value for one in _MAY_DIFFER):
        yield _File(value.removeprefix("./"), job.index, step, where, result_key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _files(item, job, step, (*where, number), result_key)
    elif isinstance(value, dict):
        for key in ("path", "file"):
            yield from _files(value.get(key), job, step, (*where, key), result_key)


def _result_key(use: Use) -> str:
    """Return the output of a step type that is the path of the file it writes."""
    output: Any = use.step_type.output_type if use.step_type else None
    if not (isinstance(output, type) and issubclass(output, msgspec.Struct)):
        return ""
    names = [field.encode_name for field in msgspec.structs.fields(output)]
    return next((name for name in ("output", "artifact_path") if name in names), "")
