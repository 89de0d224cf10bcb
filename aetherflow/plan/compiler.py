"""Compile a flow file to a plan: parse every template, check every reference, order the jobs. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from aetherflow.config.param_declarations import wrong_declarations
from aetherflow.errors import Severity
from aetherflow.events.occasions import NOTIFY
from aetherflow.language.date_format import is_format
from aetherflow.language.reference import Reference
from aetherflow.language.template import Template, compile_template
from aetherflow.language.token_hints import spaced_offset
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.flow_dates import check_timezone, date_problem, is_date
from aetherflow.plan.for_each import check_for_each, item_keys, known_item, part_hint
from aetherflow.plan.hooks import HOOK
from aetherflow.plan.path_hints import job_path_hint, own_job_hint, root_hint
from aetherflow.plan.plan import (
    DAY_ROOTS,
    FLOW_KEYS,
    MESSAGE_KEYS,
    MESSAGE_ROOT,
    RUN_KEYS,
    JobPlan,
    Plan,
    StepPlan,
    find_cycle,
)
from aetherflow.plan.written_inputs import StepTypeOf, written_inputs
from aetherflow.sdk.step import follow_up_id, follow_up_of
from aetherflow.spec.flow import HOOKS, FlowFile, JobSpec, NotifySpec, RetrySpec, StepSpec
from aetherflow.spec.load import FlowDocument
from aetherflow.spec.messages import MessageStep, address_of, message_step, wrong_keys
from aetherflow.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from aetherflow.language.condition import Condition

STEP_ROOTS = ("env", "params", "steps", "job", "jobs", "run_id", "flow_id", "run", "flow", *DAY_ROOTS)
_MAPPINGS = ("env", "params", "steps", "job", "jobs", "run")
ITEM_ROOTS = ("item", "item_index")
META_ROOTS = ("env", "params", "flow")
RESOURCE_ROOTS = ("env", "flow")
CYCLES_REPORTED = 20
_NOTHING = compile_template({})[0]
"""The `outputs` of every step that has none."""


def build_plan(
    loaded: FlowDocument,
    sink: DiagnosticSink,
    version_of: Callable[[str], str] = lambda _: "",
    step_type_of: StepTypeOf = lambda _: None,
) -> Plan:
    """Return the plan of a flow; its diagnostics are added to the sink (do not run it if there are errors).

    `version_of` gives the version of a step type, `step_type_of` the type itself.
    """
    compiler = _Compiler(loaded.spec, sink, version_of, step_type_of)
    lines = sink.lines(("jobs",), len(loaded.spec.jobs))
    jobs = tuple(compiler.job(index, job, lines[index]) for index, job in enumerate(loaded.spec.jobs))
    hooks = tuple(compiler.hook(name) for name in HOOKS if getattr(loaded.spec.flow, name))
    hooks += tuple(compiler.messages(loaded.spec.flow.notify))
    compiler.metadata()
    compiler.refuse_cycles(jobs)
    definition = hashlib.blake2b(msgspec.json.encode(loaded.document.value), digest_size=16).hexdigest()
    return Plan(
        flow=loaded.spec.flow,
        file=loaded.document.file,
        jobs=jobs,
        resources=loaded.spec.resources,
        definition=definition,
        hooks=hooks,
    )


def _placed(step: StepSpec, job: JobSpec) -> StepSpec:
    """Return a step with what its job says about where its steps run."""
    if job.executor is None and job.runs_on is None and not job.resources:
        return step
    return msgspec.structs.replace(
        step,
        executor=job.executor if step.executor is None else step.executor,
        runs_on=job.runs_on if step.runs_on is None else step.runs_on,
        resources={**job.resources, **step.resources},
    )


class _Compiler:
    """Compiles the parts of one flow, and checks them against the names that it defines."""

    def __init__(
        self,
        spec: FlowFile,
        sink: DiagnosticSink,
        version_of: Callable[[str], str],
        step_type_of: StepTypeOf,
    ) -> None:
        self.spec = spec
        self.sink = sink
        self.version_of = version_of
        self.step_type_of = step_type_of
        self.index = {job.id: number for number, job in enumerate(spec.jobs)}
        self.item_keys: dict[str, tuple[str, ...] | None] = {}
        self.retry = spec.flow.retry or RetrySpec()

    @cached_property
    def outputs(self) -> dict[str, frozenset[str]]:
        """The names of the outputs of all jobs, by job; few flows refer to them."""
        return {
            job.id: frozenset(key for step in job.steps for key in step.outputs) for job in self.spec.jobs
        }

    def job(self, index: int, spec: JobSpec, line: int) -> JobPlan:
        """Compile one job."""
        base: Path = ("jobs", index)
        needs = self._needs(spec, base)
        after: set[int] = set()
        when = self._when(spec, base, after)
        for_each = None
        if spec.for_each is not None:
            roots = ("env", "params", "jobs", "run_id", "flow_id", "run", "flow", *DAY_ROOTS)
            for_each = self._template(spec.for_each, (*base, "for_each"), spec, roots, set(), after)
            check_for_each(spec.for_each, spec.id, (*base, "for_each"), self.sink)
            self.item_keys[spec.id] = item_keys(spec.for_each)
        steps = self._steps(spec, (*base, "steps"), after)
        return JobPlan(
            index=index,
            id=spec.id,
            steps=steps,
            needs=needs,
            after=tuple(sorted(after - set(needs))),
            when=when,
            for_each=for_each,
            max_parallel=spec.max_parallel,
            timeout_seconds=spec.timeout_seconds,
            line=line,
        )

    def hook(self, name: str) -> JobPlan:
        """Compile `on_success`, `on_failure` or `on_exit` as a job that waits for all others."""
        base: Path = ("flow", name)
        spec = JobSpec(id=f"_{name}", steps=getattr(self.spec.flow, name))
        steps, line = self._steps(spec, base, set()), self.sink.place(base).line
        return JobPlan(index=-1, id=f"{HOOK}{name}", steps=steps, line=line)

    def messages(self, entries: Sequence[NotifySpec]) -> Iterator[JobPlan]:
        """Compile the entries of `notify`, each as a job that waits for all others."""
        for number, entry in enumerate(entries, 1):
            if self.sink.is_guess(("flow", "notify", number - 1, "to")):
                continue
            wrong = list(wrong_keys(entry, self.spec.resources, is_in_flow=True))
            for where, code, message, hint in wrong:
                self.sink.add(("flow", "notify", number - 1, *where), code, message, hint)
            if wrong:
                continue
            name = f"{NOTIFY}{number}"
            base: Path = ("flow", name.removeprefix(HOOK))
            spec = JobSpec(id=f"_{name}", steps=[message_step(entry, number, address_of(number))])
            yield JobPlan(
                index=-1,
                id=name,
                steps=self._steps(spec, base, set()),
                timeout_seconds=entry.timeout_seconds,
                line=self.sink.place((*base, 0)).line,
            )

    def metadata(self) -> None:
        """Check the declarations of parameters, and the templates of the flow's keys and its resources."""
        for name, param in self.spec.flow.params.items():
            for wrong in wrong_declarations(name, param):
                self.sink.add(("flow", "params", name, *wrong.where), wrong.code, wrong.message, wrong.hint)
        check_timezone(self.spec.flow.timezone, self.sink)
        flow = msgspec.to_builtins(self.spec.flow)
        for key in ("workspace", "state"):
            self._template(flow[key], ("flow", key), None, META_ROOTS, set(), set())
        for name, resource in self.spec.resources.items():
            for key, value in (("config", resource.config), ("options", resource.options)):
                self._template(value, ("resources", name, key), None, RESOURCE_ROOTS, set(), set())

    def refuse_cycles(self, jobs: tuple[JobPlan, ...]) -> None:
        """Report the cycles among the jobs; of those that share a job, the first."""
        if all(before < job.index for job in jobs for before in (*job.needs, *job.after)):
            return  # each waits for earlier ones only
        edges = {job.index: (*job.needs, *job.after) for job in jobs}
        for _ in range(CYCLES_REPORTED):
            cycle = find_cycle(edges)
            if cycle is None:
                return
            names = " -> ".join(jobs[index].id for index in cycle)
            self.sink.add(
                self.sink.place(("jobs", cycle[0])),
                "AF130",
                f"the jobs wait for each other in a circle: {names}",
                "remove one depends_on, or one reference to jobs.*, of the circle",
            )
            edges.update(dict.fromkeys(cycle, ()))

    def _needs(self, spec: JobSpec, base: Path) -> tuple[int, ...]:
        needs: dict[int, None] = {}  # in order, each once
        for number, name in enumerate(spec.depends_on):
            where = (*base, "depends_on", number)
            if name == spec.id:
                self.sink.add(where, "AF130", f"job {name!r} depends on itself", "remove this entry")
            elif name not in self.index:
                self.sink.add(
                    where,
                    "AF131",
                    f"job {spec.id!r} depends on {name!r}, which is no job of this flow",
                    did_you_mean(name, (other for other in self.index if other != spec.id)),
                )
            else:
                needs[self.index[name]] = None
        return tuple(needs)

    def _when(self, spec: JobSpec, base: Path, after: set[int]) -> Condition | None:
        if spec.when is None:
            return None
        text = spec.when if isinstance(spec.when, str) else str(spec.when).lower()
        from aetherflow.language.condition import compile_condition  # noqa: PLC0415 - most jobs have none

        condition, problems = compile_condition(text)
        for problem in problems:
            self.sink.add_problem((*base, "when"), problem)
        if condition is not None:
            for reference in condition.references:
                self._check(reference, (*base, "when"), spec, set(), after)
        return condition

    def _steps(self, job: JobSpec, base: Path, after: set[int]) -> tuple[StepPlan, ...]:
        earlier: set[str] = set()
        steps: list[StepPlan] = []
        lines = self.sink.lines(base, len(job.steps))
        for number, step in enumerate(job.steps):
            steps.append(self._step(job, step, (*base, number), lines[number], earlier, after))
            steps += self._follow_up(job, steps[-1], (*base, number))
            earlier.add(step.id)
        return tuple(steps)

    def _follow_up(self, job: JobSpec, step: StepPlan, base: Path) -> list[StepPlan]:
        """Return the step that follows another one, if there is one: with its inputs and its rules."""
        step_type = self.step_type_of(step.spec.type) if "after" in step.spec.inputs else None
        follow_up = follow_up_of(step_type, step.inputs.raw) if step_type else None
        if follow_up is None:
            return []
        id_ = follow_up_id(step.id)
        if any(other.id == id_ for other in job.steps):
            message = f"the id {id_!r} is taken: it is that of what step {step.id!r} does after its success"
            self.sink.add((*base, "inputs", "after"), "AF303", message, f"rename the step {id_!r}")
        changes: dict[str, Any] = {"id": id_, "type": follow_up.name, "description": "", "on_no_data": None}
        spec = msgspec.structs.replace(step.spec, **changes, outputs={})
        return [msgspec.structs.replace(step, spec=spec, outputs=_NOTHING, follows=step.id)]

    def _step(
        self, job: JobSpec, spec: StepSpec, base: Path, line: int, earlier: set[str], after: set[int]
    ) -> StepPlan:
        roots = (*STEP_ROOTS, *ITEM_ROOTS) if job.for_each is not None else STEP_ROOTS
        if isinstance(spec, MessageStep):
            roots = (*roots, MESSAGE_ROOT)
        at = (*base, "inputs")
        given = written_inputs(spec.type, spec.inputs, self.step_type_of, self.sink.written, at)
        inputs = self._template(given, at, job, roots, earlier, after)
        outputs = _NOTHING
        if spec.outputs:
            seen = earlier | {spec.id}
            outputs = self._template(spec.outputs, (*base, "outputs"), job, (*roots, "result"), seen, after)
        return StepPlan(
            spec=_placed(spec, job),
            inputs=inputs,
            outputs=outputs,
            retry=spec.retry or job.retry or self.retry,
            line=line,
            version=self.version_of(spec.type),
        )

    def _template(
        self,
        value: object,
        base: Path,
        job: JobSpec | None,
        roots: tuple[str, ...],
        earlier: set[str],
        after: set[int],
    ) -> Template:
        template, problems = compile_template(value)
        for problem in problems:
            self.sink.add_problem(base, problem)
        for reference in template.references:
            if misread := self._misread(reference, roots):
                self._report(reference, base, *misread)
            elif reference.path[0] in roots:
                self._check(reference, base, job, earlier, after)
            else:
                root = reference.path[0]
                message = f"{{{{{'.'.join(reference.path)}}}}}: {root!r} is not known here"
                steps = [step.id for step in job.steps] if job else []
                has_items = job is not None and job.for_each is not None
                hint = spaced_offset(root) or root_hint(
                    reference.path, roots, self.index, steps, has_items=has_items
                )
                self._report(reference, base, "AF403", message, hint)
        return template

    def _misread(self, reference: Reference, roots: tuple[str, ...]) -> tuple[str, str, str] | None:
        """Return code, message and hint if a path has a meaning that nobody wants."""
        root, *rest = reference.path
        if not rest and reference.default is not None and root in _MAPPINGS and root in roots:
            message = f"{{{{{root}:{reference.default}}}}} is all of {root}, and what follows ':' a default"
            return "AF403", message, f"write {{{{{root}.NAME}}}}"
        if is_format(reference.default) and is_date(reference, self.spec.flow.params):
            path = ".".join(reference.path)
            message = f"{{{{{reference.written}}}}}: what follows ':' is a default, and no format"
            return "AF566", message, f"write {{{{{path} | format: {reference.default}}}}}"
        if root == "job" and root in roots and rest and rest[0] not in ("id", "outputs"):
            message = f"{'.'.join(reference.path)!r}: `job` is the job itself, with outputs and id"
            return "AF406", message, own_job_hint(tuple(rest), self.outputs)
        return None

    def _check(
        self, reference: Reference, base: Path, job: JobSpec | None, earlier: set[str], after: set[int]
    ) -> None:
        """Check what a reference names, and note the job that must have ended before."""
        if problem := date_problem(reference, self.spec.flow.params):
            hint = "an offset or a format is for dates: run.date, today, yesterday, or a param of type date"
            self._report(reference, base, "AF565", f"{{{{{reference.written}}}}}: {problem}", hint)
        root, *rest = reference.path
        if root == "params" and rest and not _longest(tuple(rest), self.spec.flow.params):
            hint = (
                spaced_offset(".".join(reference.path))
                or did_you_mean(rest[0], self.spec.flow.params)
                or "declare it under flow.params"
            )
            self._report(reference, base, "AF404", f"the flow has no parameter {rest[0]!r}", hint)
        elif root == "run" and (not rest or rest[0] not in RUN_KEYS):
            message = f"{'.'.join(reference.path)!r} is not known"
            hint = spaced_offset(".".join(reference.path)) or f"run has {', '.join(RUN_KEYS)}"
            self._report(reference, base, "AF403", message, hint)
        elif root == "flow" and ".".join(rest) not in FLOW_KEYS:
            message = f"{'.'.join(reference.path)!r} is not known"
            hint = did_you_mean(".".join(rest), FLOW_KEYS) or f"flow has {', '.join(FLOW_KEYS)}"
            self._report(reference, base, "AF403", message, hint)
        elif root == MESSAGE_ROOT and (not rest or rest[0] not in MESSAGE_KEYS):
            message = f"{'.'.join(reference.path)!r} is not known"
            hint = did_you_mean(rest[0], MESSAGE_KEYS) if rest else ""
            hint = hint or f"notify has {', '.join(MESSAGE_KEYS)}"
            self._report(reference, base, "AF403", message, hint)
        elif root in ("steps", "jobs") and not rest:
            hint = "write steps.STEP.KEY or jobs.JOB.outputs.KEY"
            code = "AF405" if root == "steps" else "AF406"
            self._report(reference, base, code, f"{root!r} alone is no value", hint)
        elif root == "item" and rest and job is not None:
            self._check_item(reference, base, job)
        elif root == "steps" and job is not None:
            self._check_step(reference, base, job, earlier)
        elif root == "jobs" and job is not None:
            self._check_job(reference, base, job, after)

    def _check_item(self, reference: Reference, base: Path, job: JobSpec) -> None:
        keys, rest = self.item_keys.get(job.id), reference.path[1:]
        if keys is None or reference.default is not None or known_item(rest, keys):
            return
        message = f"the items of job {job.id!r} have no {rest[0]!r}"
        self._report(reference, base, "AF426", message, part_hint(job.for_each, rest[0], keys))

    def _check_step(self, reference: Reference, base: Path, job: JobSpec, earlier: set[str]) -> None:
        if _longest(reference.path[1:], earlier):
            return
        known = {step.id for step in job.steps}
        if named := _longest(reference.path[1:], known):
            message = f"step {named!r} has not run yet when this is read"
            hint = "a step sees the steps before it in its job; move it, or swap the two"
        else:
            wanted = reference.path[1]
            message = f"job {job.id!r} has no step {wanted!r}"
            hint = did_you_mean(wanted, known) or "a step of another job is reached by jobs.JOB.outputs.KEY"
        self._report(reference, base, "AF405", message, hint)

    def _check_job(self, reference: Reference, base: Path, job: JobSpec, after: set[int]) -> None:
        named = _longest(reference.path[1:], self.index)
        if not named:
            wanted = reference.path[1]
            hint = did_you_mean(wanted, self.index)
            self._report(reference, base, "AF406", f"the flow has no job {wanted!r}", hint)
            return
        if named == job.id:
            message = f"job {named!r} cannot refer to itself as jobs.{named}"
            hint = "within a job use job.outputs.KEY or steps.STEP.KEY"
            self._report(reference, base, "AF406", message, hint)
            return
        after.add(self.index[named])
        rest = reference.path[1 + named.count(".") + 1 :]
        if not rest or rest[0] not in ("outputs", "status"):
            message = f"{'.'.join(reference.path)!r}: a job has outputs and status"
            hint = job_path_hint(named, rest, self.outputs[named])
            self._report(reference, base, "AF406", message, hint)
        elif (
            rest[0] == "outputs"
            and len(rest) > 1
            and not rest[1].isdigit()
            and not _longest(rest[1:], self.outputs[named])
        ):
            self._report(
                reference,
                base,
                "AF407",
                f"job {named!r} declares no output {rest[1]!r}",
                did_you_mean(rest[1], self.outputs[named])
                or 'a step\'s `outputs:` mapping makes outputs of the job: outputs: {KEY: "{{result.KEY}}"}',
                "warning",
                about=("jobs", self.index[named]),
            )

    def _report(
        self,
        reference: Reference,
        base: Path,
        code: str,
        message: str,
        hint: str = "",
        severity: Severity = "error",
        *,
        about: Path | None = None,
    ) -> None:
        place = self.sink.text_place((*base, *reference.where), reference.offset)
        self.sink.add(place, code, message, hint, severity, about=about or base)


def _longest(path: tuple[str, ...], known: Container[str]) -> str:
    """Return the longest known id that `path` begins with (ids may hold dots), or an empty text."""
    joined = (".".join(path[:length]) for length in range(len(path), 0, -1))
    return next((name for name in joined if name in known), "")
