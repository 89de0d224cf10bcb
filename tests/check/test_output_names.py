"""Templates that read an output of a step: found before the run if the step never has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.check.check_flow import check_flow
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.registry import STEP, Registry
from aetherflow.sdk.step import StepType
from aetherflow.spec.load import load_flow


class Pulled(msgspec.Struct):
    """The outputs of a step of a plugin."""

    row_count: int
    kind: str = msgspec.field(name="class", default="")


def pull(context: Any, inputs: Any) -> None:
    """Do nothing."""


GIVEN = {
    (STEP, "pull"): StepType("pull", pull, dict, Pulled),
    (STEP, "any"): StepType("any", pull, dict, dict),
}


def said(folder: Path, first: str, text: str) -> list[str]:
    """Return what is found in a flow whose second step has this text as an input."""
    file = folder / "flow.yaml"
    file.write_text(
        "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n"
        f"      - {{id: s, {first}}}\n"
        f"      - {{id: use, type: check_items, inputs: {{items: ['{text}']}}}}\n"
    )
    loaded = load_flow(file)
    sink = DiagnosticSink(loaded.document)
    check_flow(build_plan(loaded, sink), Registry(given=GIVEN), sink)
    return [f"{one.severity}[{one.code}] {one.message} | {one.hint}" for one in sink.diagnostics]


CHECK = "type: check_items, inputs: {items: [x]}"
PULL = "type: pull"
RUNS = "type: external.process, inputs: {command: [x]%s}"
MADE = "`outputs:` of the step makes"
LOCKED = "type: with_lock, inputs: {lock_key: k, step: {type: check_items, inputs: {items: [x]}}}"


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (CHECK, "{{steps.s.count}} {{steps.s.outputs.count}} {{steps.s.status}} {{steps.s.reason:}}"),
        (CHECK, "{{steps.s.rows:0}}"),
        (CHECK, "{{steps.s}}"),
        (CHECK, "{{steps.s.outputs}}"),
        (LOCKED, "{{steps.s.count}}"),
        (PULL, "{{steps.s.row_count}} {{steps.s.class}}"),
        ("type: any", "{{steps.s.whatever}}"),
        (RUNS % "", "{{steps.s.exit_code}} {{steps.s.rows}} {{steps.s.count}}"),
        (RUNS % ", log: {stdout: capture}", "{{steps.s.stdout}}"),
        (RUNS % ", log: {stdout: '{{env.MODE:capture}}'}", "{{steps.s.stdout}}"),
        (RUNS % ", parse: lines", "{{steps.s.parsed.0}} {{steps.s.stdout}} {{steps.s.count}}"),
        (RUNS % ", outputs: {stdot: 1}", "{{steps.s.stdot}}"),
        (RUNS % "" + ", outputs: {rows: '{{result.rows}}'}", "{{steps.s.rows}}"),
        (RUNS % "" + ", outputs: {a: '{{result.b}}', b: '{{result.a}}'}", "x"),
    ],
)
def test_outputs_that_may_be_there_are_fine(tmp_path: Path, first: str, text: str) -> None:
    assert said(tmp_path, first, text) == []


@pytest.mark.parametrize(
    ("first", "text", "expected"),
    [
        (
            CHECK + ", outputs: {rows: '{{result.count}}'}",
            "{{steps.s.rows}}",
            (
                "error check_items rows | MADE 'rows' an "
                "output of the job: write job.outputs.rows, or steps.s.count"
            ),
        ),
        (
            CHECK + ", outputs: {text: 'n {{result.count}}'}",
            "{{steps.s.outputs.text}}",
            ("error check_items text | MADE 'text' an output of the job: write job.outputs.text"),
        ),
        (
            CHECK,
            "{{steps.s.cuont}}",
            "error check_items cuont | did you mean 'count'?",
        ),
        (
            CHECK,
            "{{steps.s.outputs.status}}",
            "error check_items status | it has count, has_data",
        ),
        (
            CHECK + ", outputs: {n: '{{result.size}}'}",
            "x",
            "error check_items size | it has count, has_data",
        ),
        (
            LOCKED,
            "{{steps.s.cuont}}",
            "error with_lock cuont | did you mean 'count'?",
        ),
        (
            PULL + ", outputs: {rows: '{{result.row_count}}'}",
            "{{steps.s.rows}}",
            (
                "warning pull rows | MADE 'rows' an "
                "output of the job: write job.outputs.rows, or steps.s.row_count"
            ),
        ),
        (
            RUNS % "" + ", outputs: {text: '{{result.stdout}}'}",
            "x",
            (
                "error external.process stdout | only what is captured is an output: "
                "add log: {stdout: capture}"
            ),
        ),
        (
            RUNS % ", log: {stdout: capture}" + ", outputs: {text: '{{result.stdout}}'}",
            "{{steps.s.text}}",
            (
                "warning external.process text | MADE 'text' "
                "an output of the job: write job.outputs.text, or steps.s.stdout"
            ),
        ),
        (
            RUNS % ", log: {stdout: capture}",
            "{{steps.s.stdot}}",
            "warning external.process stdot | did you mean 'stdout'?",
        ),
        (
            RUNS % "",
            "{{steps.s.parsed}}",
            "error external.process parsed | add parse: lines, json or kv",
        ),
    ],
)
def test_outputs_that_are_never_there_are_found(tmp_path: Path, first: str, text: str, expected: str) -> None:
    severity, kind, name, hint = *expected.partition(" | ")[0].split(), expected.partition(" | ")[2]
    message = f"{severity}[AF427] step 's' ({kind}) has no output '{name}'"
    assert said(tmp_path, first, text) == [f"{message} | {hint.replace('MADE', MADE)}"]
