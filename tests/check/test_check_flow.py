"""What `validate` finds beyond the file itself, with exact text and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from aetherflow.check.check_flow import check_flow
from aetherflow.errors import Diagnostic
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.registry import Registry
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.load import load_flow

HEAD = "version: 1\nflow: {id: demo}\n"
RESOURCES = "resources:\n  db: {kind: db, driver: sqlite3, config: {path: x}}\n"
SEE = "see: aetherflow steps show"
NO_NUMBER = "expected a whole number, got the text '{}' (write a number such as 300, without a unit)"
NO_LIST = "expected a list or text, got the number 3 (write it as a list: [3])"
IN_OWN = "(see: aetherflow steps show own)"
IN_LOCK = "(see: aetherflow steps show with_lock)"


def checked(text: str, folder: Path, types: Any = None) -> list[Diagnostic]:
    """Return the diagnostics of a flow, in file order."""
    file = folder / "flow.yaml"
    file.write_text(text)
    loaded = load_flow(file)
    sink = DiagnosticSink(loaded.document)
    check_flow(build_plan(loaded, sink), types or Registry(), sink)
    assert {d.file for d in sink.diagnostics} <= {str(file)}
    return sorted(sink.diagnostics, key=lambda d: (d.line, d.column))


def steps(*lines: str) -> str:
    """Return a flow of one job with these steps; the first one stands on line 6."""
    return HEAD + "jobs:\n  - id: a\n    steps:\n" + "".join(f"      - {line}\n" for line in lines)


def reported(found: list[Diagnostic]) -> list[str]:
    """Return the diagnostics as a person sees them, without the file name and where types were looked for."""
    hints = [d.hint.partition(" looked in: ")[0] for d in found]
    return [
        f"{d.line}:{d.column} {d.severity}[{d.code}] {d.message}" + (f" ({hint})" if hint else "")
        for d, hint in zip(found, hints, strict=True)
    ]


def test_a_sound_flow_has_no_findings(tmp_path: Path) -> None:
    text = RESOURCES + steps(
        "{id: s, type: check_items, inputs: {items: '{{run_id}}', min_count: '2'}}",
        "{id: t, type: db_extract, inputs: {resource: db, sql: select 1, output: x.tsv}}",
        "{id: u, type: with_lock, inputs: {lock_key: k, step: {type: check_items, inputs: {items: [a]}}}}",
    )
    assert checked(text, tmp_path) == []


def place(text: str, at: str) -> str:
    """Return where the last occurrence of a piece of the flow stands."""
    before = text[: text.rindex(at)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize(
    ("line", "at", "diagnostic"),
    [
        (
            "{id: s, type: check_itms}",
            "type: check_itms",
            "error[AF540] unknown step type 'check_itms' (did you mean 'check_items'?)",
        ),
        (
            "{id: s, type: check_items, inputs: {itmes: [a], items: [b]}}",
            "itmes",
            "error[AF543] check_items has no input 'itmes' (did you mean 'items'?)",
        ),
        (
            "{id: s, type: check_items, inputs: {items: [b], xyz: 1}}",
            "xyz",
            "error[AF543] check_items has no input 'xyz' (its inputs: items, min_count)",
        ),
        (
            "{id: s, type: check_items, inputs: {items: [b], min_count: many}}",
            "min_count: many",
            f"error[AF544] input 'min_count' of check_items: {NO_NUMBER.format('many')}",
        ),
        (
            "{id: s, type: check_items, inputs: {items: 3}}",
            "items: 3",
            f"error[AF544] input 'items' of check_items: {NO_LIST}",
        ),
        (
            "{id: s, type: external.process, inputs: {command: [a], log: {stdout: captur}}}",
            "stdout: captur",
            (
                "error[AF544] input 'log.stdout' of external.process: Invalid enum value 'captur'"
                " (did you mean 'capture'? allowed: inherit, capture, file, discard)"
            ),
        ),
        (
            "{id: s, type: check_items, inputs: {min_count: 1}}",
            "inputs: {min_count",
            "error[AF545] check_items needs the input 'items' (%s)",
        ),
        (
            "{id: s, type: check_items}",
            "{id: s",
            "error[AF545] check_items needs the input 'items' (%s)",
        ),
    ],
)
def test_a_step_is_checked_against_its_type(tmp_path: Path, line: str, at: str, diagnostic: str) -> None:
    text = steps(line)
    expected = f"{place(text, at)} {diagnostic.replace('%s', SEE + ' check_items')}"
    assert reported(checked(text, tmp_path)) == [expected]


def test_everything_wrong_is_found_at_once_and_in_order(tmp_path: Path) -> None:
    text = steps(
        "{id: s, type: nowhere, inputs: {resource: none}}",
        "{id: t, type: check_items, inputs: {min_count: x, itms: 1}}",
    )
    codes = [(d.line, d.code) for d in checked(text, tmp_path)]
    assert codes == [(6, "AF540"), (6, "AF550"), (7, "AF544"), (7, "AF543")]


@pytest.mark.parametrize(
    ("inner", "at", "diagnostic"),
    [
        (
            "{type: check_itms}",
            "type: check_itms",
            "error[AF540] unknown step type 'check_itms' (did you mean 'check_items'?)",
        ),
        (
            "{type: check_items, inputs: {items: a, itms: 1}}",
            "itms",
            "error[AF543] check_items has no input 'itms' (did you mean 'items'?)",
        ),
        (
            "{type: check_items}",
            "step: {type: check_items",
            "error[AF545] check_items needs the input 'items' (see: aetherflow steps show check_items)",
        ),
        (
            "{type: check_items, inputs: {items: a}, wait: 1}",
            "wait",
            "error[AF543] with_lock has no input 'step.wait' (its inputs: step.type, step.id, step.inputs)",
        ),
        (
            "{inputs: {items: '{{run_id}}'}}",
            "step: {inputs",
            f"error[AF545] with_lock needs the input 'step.type' {IN_LOCK}",
        ),
        (
            "{type: check_items, id: [5], inputs: {items: a}}",
            "id: [5]",
            "error[AF115] input 'step.id' of with_lock: expected text, got a list (write \"[5]\")",
        ),
        (
            "{type: db_extract, inputs: {resource: dbb, sql: s, output: o}}",
            "resource: dbb",
            "error[AF550] the flow has no resource 'dbb' (declare it under resources)",
        ),
        (
            "{type: with_lock, inputs: {lock_key: k, step: {type: check_itms}}}",
            "type: check_itms",
            "error[AF540] unknown step type 'check_itms' (did you mean 'check_items'?)",
        ),
    ],
)
def test_the_step_inside_a_lock_is_checked_where_it_stands(
    tmp_path: Path, inner: str, at: str, diagnostic: str
) -> None:
    text = steps(f"{{id: s, type: with_lock, inputs: {{lock_key: k, step: {inner}}}}}")
    assert reported(checked(text, tmp_path)) == [f"{place(text, at)} {diagnostic}"]


def test_an_inner_step_whose_type_is_known_only_at_run_time_is_left_alone(tmp_path: Path) -> None:
    text = RESOURCES + steps(
        "{id: s, type: with_lock, inputs: {lock_key: k, step: {type: '{{env.KIND}}', inputs: {x: 1}}}}"
    )
    assert checked(text, tmp_path) == []


def test_resources_are_checked_where_they_are_used_and_where_they_are_declared(tmp_path: Path) -> None:
    text = (
        "resources:\n"
        "  main: {kind: db, driver: sqlite3, config: {}}\n"
        "  unused: {kind: db, driver: sqlite3, config: {}}\n"
        "  odd: {kind: db, driver: sqlite4, config: {}}\n"
        + steps(
            "{id: s, type: db_extract, inputs: {resource: mian, sql: s, output: o}}",
            "{id: t, type: db_extract, inputs: {resource: main, sql: s, output: o}}",
            "{id: u, type: db_extract, inputs: {resource: odd, sql: s, output: o}}",
        )
    )
    driver, resource = place(text, "driver: sqlite4"), place(text, "resource: mian")
    assert reported(checked(text, tmp_path)) == [
        "3:3 warning[AF552] no step uses the resource 'unused' by its name",
        f"{driver} error[AF540] unknown connector 'db:sqlite4' (did you mean 'db:sqlite3'?)",
        f"{resource} error[AF550] the flow has no resource 'mian' (did you mean 'main'?)",
    ]


def test_a_resource_that_a_template_names_may_be_any(tmp_path: Path) -> None:
    text = RESOURCES + steps("{id: t, type: db_extract, inputs: {resource: '{{env.DB}}', sql: s, output: o}}")
    assert checked(text, tmp_path) == []


def test_a_resource_that_another_input_names_is_used(tmp_path: Path) -> None:
    text = RESOURCES + steps("{id: t, type: check_items, inputs: {items: [[db]]}}")
    assert checked(text, tmp_path) == []


# ---- types of a test's own


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Inputs inside of inputs, with a rule of their own."""

    low: int = 0
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is more than high")


class Inputs(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Inputs with names of their own."""

    row_limit: int = 1
    limits: Limits | None = None
    any_of: list[Limits] = []

    def __post_init__(self) -> None:
        if self.row_limit > 100 and self.limits is None:
            raise ValueError("a rowLimit above 100 needs limits")


class OwnTypes:
    """A registry of step types that a test made."""

    def __init__(self, *types: StepType) -> None:
        self.types = {one.name: one for one in types}

    def step_type(self, name: str) -> StepType:
        """Return one."""
        return self.types[name]

    def connector_class(self, name: str) -> Any:
        """Return none."""
        raise AssertionError(name)


@step("own")
def own(context: StepContext, inputs: Inputs) -> None:
    """Do nothing."""
    del context, inputs


class Either(msgspec.Struct, forbid_unknown_fields=True):
    """Inputs of which one is needed."""

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("body", "body_path"),)

    to: str = ""
    body: str | None = None
    body_path: str | None = None


@step("either")
def either(context: StepContext, inputs: Either) -> None:
    """Do nothing."""
    del context, inputs


@step("free")
def free(context: StepContext, inputs: dict[str, Any]) -> None:
    """Take anything."""
    del context, inputs


@step("anything")
def anything(context: StepContext, inputs: Any) -> None:
    """Take anything, and say so differently."""
    del context, inputs


@pytest.mark.parametrize(
    ("inputs", "at", "diagnostic"),
    [
        ("{rowLimit: 5, limits: {low: 1}}", "", ""),
        ("{limits: {low: '{{run_id}}', high: 3}}", "", ""),
        ("{limits: null, anyOf: [{low: '{{run_id}}'}]}", "", ""),
        ("{rowLimit: 101, limits: '{{run_id}}'}", "", ""),
        (
            "{row_limit: 5}",
            "row_limit",
            "error[AF543] own has no input 'row_limit' (did you mean 'rowLimit'?)",
        ),
        (
            "{limits: {low: '{{run_id}}', hihg: 3}}",
            "hihg",
            "error[AF543] own has no input 'limits.hihg' (did you mean 'high'?)",
        ),
        (
            "{limits: {low: '{{run_id}}', high: much}}",
            "high: much",
            f"error[AF544] input 'limits.high' of own: {NO_NUMBER.format('much')}",
        ),
        (
            "{limits: {low: 5, high: 3}}",
            "limits: {low",
            f"error[AF544] the inputs of own: low is more than high {IN_OWN}",
        ),
        (
            "{anyOf: [{low: 1}, {low: 1, hihg: 2}]}",
            "hihg",
            "error[AF543] own has no input 'anyOf[1].hihg' (did you mean 'high'?)",
        ),
        (
            "{anyOf: [{low: '{{run_id}}', high: much}]}",
            "high: much",
            f"error[AF544] input 'anyOf[0].high' of own: {NO_NUMBER.format('much')}",
        ),
        (
            "{rowLimit: 101}",
            "inputs: {rowLimit",
            f"error[AF544] the inputs of own: a rowLimit above 100 needs limits {IN_OWN}",
        ),
    ],
)
def test_constants_are_checked_as_deep_as_they_are_constant(
    tmp_path: Path, inputs: str, at: str, diagnostic: str
) -> None:
    text = steps(f"{{id: s, type: own, inputs: {inputs}}}")
    expected = [f"{place(text, at)} {diagnostic.replace('%s', IN_OWN)}"] if at else []
    assert reported(checked(text, tmp_path, OwnTypes(own))) == expected


def test_a_step_that_takes_anything_is_given_anything(tmp_path: Path) -> None:
    text = steps("{id: s, type: free, inputs: {x: 1}}", "{id: t, type: anything, inputs: {y: [1]}}")
    assert checked(text, tmp_path, OwnTypes(free, anything)) == []


def test_ending_steps_are_checked_where_they_stand(tmp_path: Path) -> None:
    text = (
        "version: 1\n"
        "flow:\n"
        "  id: demo\n"
        "  on_failure:\n"
        "    - {id: tell, type: check_itms}\n"
        "  on_exit:\n"
        "    - {id: tidy, type: check_items, inputs: {items: [a], xyz: 1}}\n"
        "jobs:\n"
        "  - {id: a, steps: [{id: s, type: check_items, inputs: {items: x}}]}\n"
    )
    kind, name = place(text, "type: check_itms"), place(text, "xyz")
    assert reported(checked(text, tmp_path)) == [
        f"{kind} error[AF540] unknown step type 'check_itms' (did you mean 'check_items'?)",
        f"{name} error[AF543] check_items has no input 'xyz' (its inputs: items, min_count)",
    ]


def test_slots_belong_to_a_pool(tmp_path: Path) -> None:
    text = steps(
        "{id: t, type: check_items, inputs: {items: [a]}, pool: p, slots: 2}",
        "{id: s, type: check_items, inputs: {items: [a]}, slots: 3}",
    )
    at = place(text, "slots: 3")
    message = "step 's' wants 3 slots, but of no pool (add pool: NAME, or leave slots out)"
    assert reported(checked(text, tmp_path)) == [f"{at} error[AF644] {message}"]


@pytest.mark.parametrize(
    ("inputs", "diagnostic"),
    [
        ("{body: '{{run_id}}'}", ""),
        ("{body_path: a, to: '{{run_id}}'}", ""),
        (
            "{to: '{{run_id}}'}",
            f"error[AF545] either needs the input 'body' or 'body_path' ({SEE} either)",
        ),
        ("{bodi: x}", "error[AF543] either has no input 'bodi' (did you mean 'body'?)"),
    ],
)
def test_one_of_several_inputs_is_needed_whatever_is_a_template(
    tmp_path: Path, inputs: str, diagnostic: str
) -> None:
    found = checked(steps(f"{{id: s, type: either, inputs: {inputs}}}"), tmp_path, OwnTypes(either))
    assert [text.partition(" ")[2] for text in reported(found)] == ([diagnostic] if diagnostic else [])
