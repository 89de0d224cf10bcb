"""A file of another kind is named, with the command that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.schedule_files import load_schedule
from aetherflow.spec.load import load_profiles
from aetherflow.spec.load_manifest import load_manifest
from tests.mistakes.mistake import ITEMS, flow, item


def load_flow(path: Path) -> object:
    return load_checked_flow(path, {"AETHERFLOW_STATE_ROOT": str(path.parent)})


FLOW = flow(f"- id: a\n  {ITEMS}")
SCHEDULE = item("{id: a, cron: '0 3 * * *', flow_yaml: flow.yaml}")
MANIFEST = "version: 1\nmode: internal_fast\nbundle: {id: b, source: {type: filesystem, base_path: x}}\n"
PROFILES = "warehouse: {config: {url: x}}\nother: {options: {}}\n"
PROJECT = "version: 1\nsettings: {log_level: DEBUG}\nprofiles: profiles.yaml\n"
COMPOSE = "services:\n  web: {image: nginx}\n"
ACTIONS = "name: CI\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{run: make}]\n"
DAGU = "steps:\n  - name: a\n    command: echo hi\n"
PLAYBOOK = "- hosts: all\n  tasks: [{debug: {msg: hi}}]\n"
KUBERNETES = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"


@pytest.mark.parametrize(
    ("text", "load", "says", "hint"),
    [
        (SCHEDULE, load_flow, "this is a scheduler file, not a flow", "aetherflow serve {file} runs it"),
        (FLOW, load_schedule, "this is a flow, not a scheduler file", "aetherflow run {file} runs it"),
        (
            MANIFEST,
            load_flow,
            "this is a bundle manifest, not a flow",
            "aetherflow run --bundle-manifest {file}",
        ),
        (PROFILES, load_flow, "this is a profiles file, not a flow", "AETHERFLOW_PROFILES_FILE={file}"),
        (PROJECT, load_flow, "this is a project file, not a flow", "aetherflow doctor"),
        (COMPOSE, load_flow, "this is a file of Docker Compose, not a flow", "aetherflow init"),
        (ACTIONS, load_flow, "this is a workflow of GitHub Actions, not a flow", "aetherflow init"),
        (DAGU, load_flow, "this is a DAG of Dagu, not a flow", "aetherflow init"),
        (PLAYBOOK, load_flow, "this is an Ansible playbook, not a flow", "aetherflow init"),
        (KUBERNETES, load_flow, "this is a file of Kubernetes, not a flow", "aetherflow init"),
        (COMPOSE, load_schedule, "this is a file of Docker Compose, not a scheduler", "help schedules"),
        (FLOW, load_manifest, "this is a flow, not a bundle manifest", "aetherflow run {file} runs it"),
        (SCHEDULE, load_profiles, "this is a scheduler file, not a profiles file", "aetherflow serve {file}"),
    ],
)
def test_another_kind_of_file_is_named(
    text: str, load: Callable[[Path], Any], says: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInput) as raised:
        load(file)

    (diagnostic,) = raised.value.diagnostics
    assert says in diagnostic.message
    assert hint.format(file=file) in diagnostic.hint


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nflow: {id: f}\njobs:\n  a: {steps: []}\n",
        "version: 1\nflow: {id: f}\nservices: {}\n",
        "day: 2026-01-01\n",
    ],
)
def test_a_flow_with_a_mistake_is_no_file_of_another_kind(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInput) as raised:
        load_checked_flow(file, {"AETHERFLOW_STATE_ROOT": str(tmp_path)}).raise_if_invalid()

    assert not any(one.message.startswith("this is") for one in raised.value.diagnostics)
