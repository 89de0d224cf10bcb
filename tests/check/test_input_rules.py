"""Rules over several inputs are checked while some of the inputs are templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.check.input_rules import broken_rule
from tests.check.test_check_flow import RESOURCES, checked, reported, steps


class Rules(msgspec.Struct, frozen=True):
    """Inputs with rules that ask their values everything."""

    mode: str = "append"
    key: str | list[str] | None = None
    text: str = ""
    number: int | None = None

    def __post_init__(self) -> None:
        if (self.mode == "upsert") != (self.key is not None):
            raise ValueError("mode: upsert needs key, and only it")
        if isinstance(self.text, str) and self.text.startswith("!"):
            raise ValueError("text is loud")
        if self.number is not None and self.number > 3:
            raise ValueError(f"{self.number} is too large")


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"mode": "upsert", "text": "{{x}}"}, "mode: upsert needs key, and only it"),
        ({"mode": "append", "key": "a-{{x}}"}, "mode: upsert needs key, and only it"),
        ({"mode": "append", "key": ["{{x}}"]}, "mode: upsert needs key, and only it"),
        ({"mode": "append", "key": "{{x}}"}, ""),  # null if there is no x
        ({"mode": "{{x}}", "key": "a"}, ""),
        ({"mode": "{{x}}", "text": "!"}, ""),  # a rule before it may be broken first, or the second is
        ({"mode": "append", "text": "!", "number": "{{x}}"}, "text is loud"),
        ({"mode": "append", "text": "{{x}}", "number": "4"}, ""),
        ({"key": "{{x}}", "mode": "upsert", "number": 4}, "4 is too large"),
        ({"mode": "upsert", "key": "a{{x}}", "number": 4}, "4 is too large"),
        ({"number": "{{x}}", "mode": "upsert"}, "mode: upsert needs key, and only it"),
        ({"number": "{{x}}"}, ""),
    ],
)
def test_a_rule_is_broken_only_if_it_is_whatever_the_templates_give(
    inputs: dict[str, Any], problem: str
) -> None:
    unknown = {name for name, value in inputs.items() if "{{" in str(value)}
    assert broken_rule(Rules, inputs, unknown) == problem


def test_rules_of_steps_are_checked_beside_templates(tmp_path: Path) -> None:
    load = "resource: db, table: '{{run.date}}', source_path: x.csv"
    text = RESOURCES + steps(
        "{id: s, type: db_extract, inputs: {resource: db, output: 'x-{{run.date}}.tsv'}}",
        f"{{id: t, type: db_load, inputs: {{{load}, mode: upsert}}}}",
        f"{{id: u, type: db_load, inputs: {{{load}, mode: upsert, key: id}}}}",
        "{id: v, type: external.process, inputs: {command: [x, '{{run.id}}'], log: {stdout: file}}}",
    )
    see = "(see: aetherflow steps show"
    assert [one.partition(" ")[2] for one in reported(checked(text, tmp_path))] == [
        f"error[AF544] the inputs of db_extract: needs one of sql and sql_path {see} db_extract)",
        f"error[AF544] the inputs of db_load: mode: upsert needs key {see} db_load)",
        (
            "error[AF544] the inputs of external.process: log.file_path is required when stdout or stderr is "
            f"`file` {see} external.process)"
        ),
    ]


def test_marks_that_several_steps_would_use_are_reported(tmp_path: Path) -> None:
    def stream(step: str, watermark: str) -> str:
        inputs = f"resource: db, sql: q, output: x.tsv, watermark: {{column: id{watermark}}}"
        return f"      - {{id: {step}, type: db_extract_stream, inputs: {{{inputs}}}}}\n"

    mapped = "".join(
        [
            stream("s", ""),
            stream("t", ", name: orders"),
            stream("u", ", name: 'orders-{{item}}'"),
        ]
    )
    text = steps().replace("    steps:\n", f"    for_each: [x, y]\n    steps:\n{mapped}")
    text += "  - id: b\n    steps:\n" + stream("s", "") + stream("t", ", name: b.s") + stream("u", "")
    found = reported(checked(text.replace("jobs:", f"{RESOURCES}jobs:"), tmp_path))
    assert [one.partition(" ")[2] for one in found] == [
        (
            "error[AF996] the watermark of a.s has no name, but each item needs a mark of its own "
            "(name it by the item: watermark: {name: 'orders-{{item}}'})"
        ),
        (
            "warning[AF991] all items of a use the mark 'orders': each skips what another reads "
            "(name it by the item: watermark: {name: 'orders-{{item}}'})"
        ),
        (
            "warning[AF991] b.s and b.t use the mark 'b.s': the second to run fails "
            "(give each a watermark with a name of its own)"
        ),
    ]
