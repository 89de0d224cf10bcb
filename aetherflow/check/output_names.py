"""Report templates that read an output which the step does not have: `{{steps.ID.KEY}}` and `{{result.KEY}}`.

A step has the outputs of its type, not those that its `outputs:` makes for the job: that is the usual slip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from aetherflow.check.planned_steps import steps_path, uses_of
from aetherflow.errors import Severity
from aetherflow.language.reference import Reference
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.for_each import known_item
from aetherflow.plan.plan import JobPlan, Plan, StepPlan
from aetherflow.sdk.step import OutputNames, StepType
from aetherflow.spec.suggest import did_you_mean

OF_EVERY_STEP = frozenset({"status", "outputs", "reason"})
"""What `steps.ID` has besides the outputs."""

_ALMOST_THE_SAME = 0.8
_NAMES_SHOWN = 12


def check_output_names(plan: Plan, step_types: Mapping[str, StepType], sink: DiagnosticSink) -> None:
    """Report the outputs that are read and never there (AF427).

    It is a warning where the step may return more than its type declares.
    """
    for job in (*plan.jobs, *plan.hooks):
        if not any(_reads_outputs(step) for step in job.steps):
            continue
        base = steps_path(job)
        checker = _JobChecker(job, step_types, sink)
        for number, step in job.written_steps():
            for key, template in (("inputs", step.inputs), ("outputs", step.outputs)):
                for reference in template.references:
                    checker.check(step, reference, (*base, number, key))


def _reads_outputs(step: StepPlan) -> bool:
    """Whether a template of a step reads an output without a default."""
    return any(
        reference.default is None and reference.path[0] in ("result", "steps")
        for template in (step.inputs, step.outputs)
        for reference in template.references
    )


class _JobChecker:
    """Checks what the templates of one job read of its steps."""

    def __init__(self, job: JobPlan, step_types: Mapping[str, StepType], sink: DiagnosticSink) -> None:
        self._steps = {step.id: step for step in job.steps}
        self._outputs = {
            step.id: found for step in job.steps if (found := _outputs_of(step, step_types)) is not None
        }
        self._sink = sink

    def check(self, reader: StepPlan, reference: Reference, base: Path) -> None:
        """Report a reference to an output that is never there and has no default."""
        if reference.default is not None:
            return
        for step, path, others in self._reads(reader, reference.path):
            outputs, is_foreign = self._outputs.get(step.id, (None, False))
            if outputs is None or not path or known_item(path, outputs.names | others):
                return
            hint = _hint(step, path[0], outputs, is_own=step is reader)
            if hint:
                place = self._sink.text_place((*base, *reference.where), reference.offset)
                message = f"step {step.id!r} ({step.spec.type}) has no output {path[0]!r}"
                is_sure = not is_foreign and (not outputs.is_open or path[0] in outputs.absent)
                severity: Severity = "error" if is_sure else "warning"
                self._sink.add(place, "AF427", message, hint, severity, about=base)

    def _reads(
        self, reader: StepPlan, path: tuple[str, ...]
    ) -> Iterator[tuple[StepPlan, tuple[str, ...], frozenset[str]]]:
        """Yield the step that a path reads, the path within its outputs, and what else it may name there."""
        root, *rest = path
        if root == "result":
            yield reader, tuple(rest), frozenset()
        elif root == "steps":
            ends = range(len(rest), 0, -1)
            end = next((end for end in ends if ".".join(rest[:end]) in self._steps), 0)
            if not end:
                return
            step, inside = self._steps[".".join(rest[:end])], tuple(rest[end:])
            if inside[:1] == ("outputs",):
                yield step, inside[1:], frozenset()
            else:
                yield step, inside, OF_EVERY_STEP


def _outputs_of(step: StepPlan, step_types: Mapping[str, StepType]) -> tuple[OutputNames, bool] | None:
    """Return the outputs of a step, and whether its type is a plugin's; None if they are not known.

    The outputs of a step that contains another are those of the inner one.
    """
    *_, innermost = uses_of(step, (), step_types)
    step_type = innermost.step_type
    if step_type is None or step_type.contains:
        return None
    if step_type.names_outputs is not None:
        return step_type.names_outputs(innermost.inputs), step_type.is_foreign
    if not issubclass(step_type.output_type, msgspec.Struct):
        return None
    return OutputNames(frozenset(step_type.output_type.__struct_encode_fields__)), step_type.is_foreign


def _hint(step: StepPlan, name: str, outputs: OutputNames, *, is_own: bool) -> str:
    """Return what to write instead; an empty text if the output may be there after all.

    `is_own` is whether the step itself reads it, in its `outputs:`.
    """
    if name in outputs.absent:
        return outputs.absent[name]
    own = _name_in_result(step.spec.outputs.get(name))
    if name in step.spec.outputs and own != name and not is_own:
        instead = f", or steps.{step.id}.{own}" if own else ""
        return (
            f"`outputs:` of the step makes {name!r} an output of the job: write job.outputs.{name}{instead}"
        )
    if outputs.is_open:
        import difflib  # noqa: PLC0415 - only for errors

        near = difflib.get_close_matches(name, sorted(outputs.names), n=1, cutoff=_ALMOST_THE_SAME)
        return f"did you mean {near[0]!r}?" if near else ""
    names = sorted(outputs.names)
    shown = ", ".join(names[:_NAMES_SHOWN]) or "no outputs"
    return did_you_mean(name, names) or f"it has {shown}{', ...' if len(names) > _NAMES_SHOWN else ''}"


def _name_in_result(made: object) -> str:
    """Return KEY of a value `{{result.KEY}}`, else an empty text."""
    text = made.strip() if isinstance(made, str) else ""
    if not (text.startswith("{{") and text.endswith("}}")):
        return ""
    root, _, name = text.strip("{} ").partition(".")
    return name if root == "result" else ""
