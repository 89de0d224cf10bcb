"""The fingerprint of a definition sees how a text is spelled, and knows those made before it did."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import JobPlan
from aetherflow.registry import Registry
from aetherflow.spec.load import load_flow

FLOW = """\
version: 1
flow: {id: f}
jobs:
  - id: a
    for_each: [1.10, '2.0', 3, 1e999x]
    steps:
      - {id: s, type: external.process, inputs: {command: [3.10, true, 8080]}, outputs: {v: 1.10, n: 3}}
"""


def job(tmp_path: Path, text: str = FLOW) -> JobPlan:
    (tmp_path / "flow.yaml").write_text(text, encoding="utf-8")
    loaded = load_flow(tmp_path / "flow.yaml")
    plan = build_plan(loaded, DiagnosticSink(loaded.document), step_type_of=Registry().known_step_type)
    return plan.jobs[0]


def before(value: Any) -> str:
    """Return the fingerprint that an earlier version stored for a value."""
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=8).hexdigest()


def test_an_unchanged_file_is_defined_as_an_earlier_version_stored_it(tmp_path: Path) -> None:
    found = job(tmp_path)
    old = ["external.process", {"command": [3.1, True, 8080]}, {"v": 1.1, "n": 3}]

    assert found.steps[0].is_defined_as(found.steps[0].fingerprint())
    assert found.steps[0].is_defined_as(before(old))
    assert found.is_listed_as(found.listing)
    assert job(tmp_path, FLOW.replace("'2.0'", "2.0")).is_listed_as(before([1.1, 2.0, 3, "1e999x"]))
    assert not found.is_listed_as(before([1.2, 2.0, 3, "1e999x"]))


def test_another_spelling_of_a_text_is_another_definition(tmp_path: Path) -> None:
    step = job(tmp_path).steps[0]

    for other in (FLOW.replace("3.10", "3.1"), FLOW.replace("v: 1.10", "v: 1.1")):
        assert not job(tmp_path, other).steps[0].is_defined_as(step.fingerprint())
    for same in (FLOW.replace("3.10", "'3.10'"), FLOW.replace("true", '"true"')):
        assert job(tmp_path, same).steps[0].is_defined_as(step.fingerprint())
