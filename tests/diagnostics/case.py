"""One case: the least that leads to a code, and the words of its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

VALIDATE = "aetherflow validate flow.yaml"


class Case(msgspec.Struct, frozen=True):
    """A flow and a command that lead to a code.

    Attributes:
        flow: what `flow.yaml` holds.
        script: what is typed, for bash; its last command reports the code.
        files: other files, by name.
        env: variables of the environment; `DIR` in a value is the folder.
    """

    flow: str = ""
    script: str = VALIDATE
    files: dict[str, str] = {}
    env: dict[str, str] = {}


class Told(msgspec.Struct, frozen=True):
    """A function that is given an empty folder and returns the error it led to, where no command does."""

    by: Callable[[Path], Any]


def steps(*lines: str, head: str = "flow: {id: f}") -> str:
    """Return a flow with one job `a` of these steps."""
    return f"version: 1\n{head}\njobs:\n  - id: a\n    steps:\n" + "".join(
        f"      - {line}\n" for line in lines
    )


def job(keys: str, head: str = "flow: {id: f}", *, step: str = "") -> str:
    """Return a flow with a job `a`, and a job `b` of these keys."""
    other = step or "{id: s, type: check_items, inputs: {items: [x]}}"
    first = "{id: s, type: check_items, inputs: {items: [x]}}"
    jobs = f"  - {{id: a, steps: [{first}]}}\n  - {{id: b, {keys}, steps: [{other}]}}\n"
    return f"version: 1\n{head}\njobs:\n{jobs}"


def process(inputs: str, keys: str = "", head: str = "flow: {id: f}") -> str:
    """Return a flow with one step of type external.process."""
    return steps(f"{{id: s, type: external.process, inputs: {{{inputs}}}{keys}}}", head=head)


def resource(keys: str, step: str = "", head: str = "flow: {id: f}") -> str:
    """Return a flow with a resource `r` that its only step uses."""
    sql = step or "{id: s, type: db_extract, inputs: {resource: r, sql: select 1, output: o.tsv}}"
    return steps(sql, head=f"{head}\nresources:\n  r: {{{keys}}}")


def plugin(body: str) -> dict[str, str]:
    """Return a plugin file with a step `mine` of this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    head = "from aetherflow import StepContext, step\n\n\n@step('mine')\n"
    return {"plugins/mine.py": f"{head}def mine(context: StepContext, inputs: dict):\n{lines}"}


OK = steps("{id: s, type: check_items, inputs: {items: [x]}}")
MINE = steps("{id: s, type: mine}")
PLUGINS = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}
RUN = "aetherflow run flow.yaml --run-id r"
