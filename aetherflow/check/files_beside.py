"""Warn about a script or a `cwd` beside the flow, while the program starts in the artifacts folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from aetherflow.check.planned_steps import Use, uses_with
from aetherflow.check.scripts import language_of, words_of
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan

_ARTIFACTS = (None, "", ".", "artifacts")
"""What `cwd` is when a program starts in the artifacts folder."""


def check_files_beside(plan: Plan, sink: DiagnosticSink) -> None:
    """Warn about each relative script and `cwd` that is found beside the flow (AF145)."""
    if not plan.place.directory:
        return
    for _, _, use in uses_with((*plan.jobs, *plan.hooks), plan.step_types, lambda one: one.program_inputs):
        _check_cwd(use, plan, sink)
        if use.inputs.get("shell") or use.inputs.get("cwd") not in _ARTIFACTS:
            continue
        for name, where in _scripts(use):
            if not os.path.isfile(plan.place.folder / name):  # noqa: PTH113 - also false for impossible names
                continue
            message = f"{name!r} lies beside the flow, but the program starts in the artifacts of the job"
            short = name.removeprefix("./")
            hint = f"add cwd: flow, or write {{{{flow.dir}}}}/{short}"
            sink.add(where, "AF145", message, hint, "warning")


def _check_cwd(use: Use, plan: Plan, sink: DiagnosticSink) -> None:
    cwd = use.inputs.get("cwd")
    if not isinstance(cwd, str) or cwd in (*_ARTIFACTS, "flow") or cwd.startswith((".", "/")) or "{{" in cwd:
        return
    if os.path.isdir(plan.place.folder / cwd):  # noqa: PTH112 - also false for impossible names
        message = f"cwd {cwd!r} is a folder beside the flow, but cwd starts at the artifacts of the job"
        hint = f"write {{{{flow.dir}}}}/{cwd}, or ./{cwd} for a folder of the artifacts"
        sink.add((*use.base, "cwd"), "AF145", message, hint, "warning")


def _scripts(use: Use) -> Iterator[tuple[str, Path]]:
    """Yield the relative path of the program, or of the script that its interpreter reads."""
    words = words_of(use)
    program = next(words, None)
    if program is None:
        return
    if language_of(program[0]) is None:
        if "/" in program[0]:  # without one it is searched in the PATH
            yield from _relative(program)
        return
    script = next(words, None)
    if script is not None and not script[0].startswith("-"):
        yield from _relative(script)


def _relative(word: tuple[str, Path]) -> Iterator[tuple[str, Path]]:
    if "{{" not in word[0] and not word[0].startswith(("/", "~", "$")):
        yield word
