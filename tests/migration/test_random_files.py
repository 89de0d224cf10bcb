"""Random flows in random layouts: what is written is YAML of this version, with nothing left to migrate."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from aetherflow.spec.document import parse_document
from tests.migration.test_rows import migrated
from tests.sizes import LARGE

SCALARS = (
    "x",
    "yes",
    "010",
    "1_0",
    "'1'",
    '"a: b"',
    "~",
    "1e3",
    "12:30",
    "true",
    "3.10",
    "'{{ env.X: y }}'",
    "2026-01-31",
)


class Writer:
    """Writes plain data as YAML, each mapping and list in a style of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - examples, no secrets

    def document(self, value: dict[str, Any]) -> str:
        return self.block(value, 0).lstrip("\n")

    def node(self, value: Any, indent: int) -> str:
        if isinstance(value, str):
            return " " + value
        if not value or self.rng.random() < 0.4:
            return " " + self.flow(value)
        return self.block(value, indent)

    def flow(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}: {self.flow(item)}" for key, item in value.items()) + "}"
        return "[" + ", ".join(map(self.flow, value)) + "]" if isinstance(value, list) else value

    def block(self, value: Any, indent: int) -> str:
        lines = ""
        for number, item in enumerate(value):
            lines += self.rng.choice(["", "", "\n", f"\n{' ' * indent}# note {number}"])
            if isinstance(value, dict):
                lines += (
                    f"\n{' ' * indent}{item}:" + self.node(value[item], indent + 2) + self.remark(value[item])
                )
            elif isinstance(item, dict) and item and self.rng.random() < 0.7:
                lines += f"\n{' ' * indent}- " + self.block(item, indent + 2).lstrip(" \n")
            else:
                lines += f"\n{' ' * indent}-" + self.node(item, indent + 2)
        return lines

    def remark(self, value: Any) -> str:
        return "  # remark" if isinstance(value, str) and self.rng.random() < 0.2 else ""


def _some(rng: random.Random, make: dict[str, Callable[[], Any]], *needed: str) -> dict[str, Any]:
    names = [name for name in make if name in needed or rng.random() < 0.4]
    rng.shuffle(names)
    return {name: make[name]() for name in names}


def random_flow(rng: random.Random) -> dict[str, Any]:
    """Return a flow with keys that 0.0 knew and keys that it did not; all scalars are texts as written."""

    def scalar() -> str:
        return rng.choice(SCALARS)

    def inputs() -> dict[str, Any]:
        return _some(
            rng,
            {
                "command": lambda: ["echo", *(scalar() for _ in range(3))],
                "args": lambda: [scalar()],
                "env": lambda: {"A": scalar(), "B": scalar()},
                "shell": lambda: rng.choice(["'false'", "yes", "false"]),
                "retry": lambda: {"max_attempts": "3", "sleep_seconds": "1"},
                "log": lambda: _some(rng, {"stdout": lambda: "capture", "size": scalar}),
                "note": scalar,
            },
            "command",
        )

    def step(number: int) -> dict[str, Any]:
        return _some(
            rng,
            {
                "id": lambda: f"s{number}",
                "type": lambda: "external.process",
                "note": scalar,
                "inputs": inputs,
                "timeout_seconds": lambda: "5",
            },
            "id",
            "type",
            "inputs",
        )

    def job(number: int) -> dict[str, Any]:
        steps = [step(one) for one in range(rng.randrange(1, 3))]
        make = {
            "id": lambda: f"j{number}",
            "owner": scalar,
            "description": lambda: "~",
            "steps": lambda: steps,
        }
        return _some(rng, make, "id", "steps")

    flow = _some(
        rng,
        {
            "id": lambda: "f",
            "owner": scalar,
            "workspace": lambda: _some(rng, {"root": lambda: "/w", "note": scalar}, "note"),
            "locks": lambda: {"scope": "job"},
        },
        "id",
    )
    return {"flow": flow, "note": scalar(), "jobs": [job(number) for number in range(rng.randrange(1, 3))]}


@pytest.mark.parametrize("seed", range(2000 if LARGE else 30))
def test_a_random_flow(seed: int) -> None:
    writer = Writer(seed)
    text = writer.document(random_flow(writer.rng))
    yaml.safe_load(text)

    first = migrated(text)
    again = migrated(first.text)

    document = parse_document(first.text, "new.yaml")
    assert document.value["flow"]["max_parallel_jobs"] == 1
    assert "note" not in first.text.replace("# note", "")
    assert [found for found in again.differences if not found.by_hand] == [], text
    assert again.text == first.text
