"""Say how to write a value that has the wrong kind: a mapping for a list, a bare value for a mapping ..."""

from __future__ import annotations

import json
import shlex
from typing import Any

from msgspec import inspect as kinds

from aetherflow.spec.suggest import shortened

_BARE = {"ParamSpec": "default", "RetrySpec": "max_attempts", "StateSpec": "path", "WorkspaceSpec": "root"}
"""The key that a bare value probably means, by the Struct that takes it."""

_STEP = "a step is a mapping: {id: NAME, type: external.process, inputs: {command: [PROGRAM, ARGUMENT]}}"

_DEADLINE = "write {end_by: '07:00'}, {start_within: 15m} or {longer_than: 2h}"


def meant_list(value: Any) -> str:
    """Return how to write a list instead of `value`."""
    if isinstance(value, str) and len(value.split()) > 1:
        return f"write it as a list: {shortened(list_of_words(value))}"
    if not isinstance(value, dict):
        return f"write it as a list: [{shortened(str(value))}]"
    first = next(iter(value), "")
    if "id" not in value and value and all(isinstance(item, dict) for item in value.values()):
        return f"this is a list: write '- id: {shortened(first)}' instead of '{shortened(first)}:', and so on"
    return f"this is a list, also with one item: write '- ' before its first key, '- {shortened(first)}: ...'"


def list_of_words(text: str) -> str:
    """Return the words of a text, such as a command line, as a list in YAML."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return json.dumps(words, ensure_ascii=False)


def meant_struct(value: Any, kind: kinds.StructType) -> str:
    """Return how to write a mapping with the keys of a Struct instead of `value`, or an empty text."""
    name = kind.cls.__name__
    if isinstance(value, list | dict) or value is None:
        return ""
    if name == "StepSpec":
        return _STEP
    if name == "NotifySpec":
        return "an entry is a mapping: {to: mail, resource: smtp, recipients: [ops@example.org]}"
    if name == "DeadlineSpec":
        return _DEADLINE
    if name == "IntervalSpec":
        every = shortened(str(value))
        return f"write interval_seconds: {every}, or interval: {{every: {every}, anchor: 2026-01-01T04:00}}"
    key = _BARE.get(name, "")
    return f"write {{{key}: {shortened(str(value))}}}" if key else ""


def meant_mapping(value: Any) -> str:
    """Return how to write a mapping of names to values instead of `value`."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return "write 'key: value' lines, without '- ' before them"
    pairs = (
        [item.partition("=") for item in value if isinstance(item, str)] if isinstance(value, list) else []
    )
    if pairs and all(sign for _, sign, _ in pairs):
        name, _, text = pairs[0]
        return f"write 'key: value' lines without '- ': {shortened(name)}: \"{shortened(text)}\""
    return "write 'key: value' lines"
