"""The rules about inputs of steps: Python's truth, int() and str() of values, which 0.0 used everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aetherflow.migration.difference import AddKey, Change, RemoveKey, changed, for_a_person
from aetherflow.migration.old_file import (
    OldFile,
    entries,
    get,
    is_null,
    items,
    old_value,
    quoted_text,
    replaced,
    text_of,
)
from aetherflow.migration.old_flow import OldStep, each_step, jobs_of
from aetherflow.migration.old_steps import STEPS, Kind
from aetherflow.migration.spellings import SPELLING, as_python_text, spelled
from aetherflow.migration.surroundings import Surroundings

INPUT = "AF180"


def input_changes(old: OldFile, around: Surroundings) -> Iterator[Change]:
    """Write the inputs of each step so that they are read as 0.0 read them."""
    for step in each_step(jobs_of(old.root)):
        kinds = STEPS.get(step.type)
        if kinds is not None:
            yield from _inputs(old, step.inputs, kinds)
        if step.type == "with_lock":
            yield from _inner_id(step)
        if step.type and "{{" not in step.type and step.type not in around.step_types:
            node = get(step.node, "type") or step.node
            there, here = f"{step.type} is a step type", "no step type of this name is installed"
            yield for_a_person(node, "AF181", there, here, "install the plugin that has it")


def _inputs(old: OldFile, node: Node | None, kinds: Mapping[str, Any]) -> Iterator[Change]:
    for name, (key, value) in entries(node).items():
        kind = kinds.get(name)
        if isinstance(kind, Mapping):
            yield from _inputs(old, value, kind)
        elif kind == "number" and isinstance(node, MappingNode) and is_null(value):
            there, here = f"{name!r} may be null", "it takes a number"
            yield changed(key, INPUT, there, here, "left out", RemoveKey(node, key))
        elif kind is not None:
            yield from _value(old, name, value, kind)


def _value(old: OldFile, name: str, node: Node, kind: Kind) -> Iterator[Change]:
    match kind, node:
        case "bool", ScalarNode():
            yield from _truth(old, name, node)
        case (("int" | "ints" | "number"), ScalarNode()):
            yield from _number(old, name, node, kind)
        case "ints", SequenceNode():
            for item in items(node):
                yield from _value(old, name, item, "int")
        case "words", ScalarNode() | SequenceNode():
            yield from _words(old, node)
        case "variables", MappingNode():
            for value in (value for _, value in entries(node).values() if not is_null(value)):
                yield from _word(old, value)
        case "lower", ScalarNode():
            yield from _lower(old, name, node)
        case _:
            pass


def _words(old: OldFile, node: Node) -> Iterator[Change]:
    for item in [node] if isinstance(node, ScalarNode) else items(node):
        yield from _word(old, item)


def _lower(old: OldFile, name: str, node: ScalarNode) -> Iterator[Change]:
    text = text_of(node).lower()
    if "{{" not in text and text != text_of(node):
        there, here = f"{name!r} may be written in any case", "it is written in small letters"
        yield changed(node, INPUT, there, here, text, replaced(old, node, text))


def _truth(old: OldFile, name: str, node: ScalarNode) -> Iterator[Change]:
    """Write a truth value as true or false; any text that is not empty was true."""
    value = old_value(node)
    if isinstance(value, bool) or "{{" in str(value):
        return  # another spelling of a truth value is a matter of YAML
    text = "true" if value else "false"
    there = f"{name!r} is {text} for {old.source(node) or 'nothing'}: any text is true"
    yield changed(node, INPUT, there, "it takes true or false", text, replaced(old, node, text))


def _number(old: OldFile, name: str, node: ScalarNode, kind: Kind) -> Iterator[Change]:
    """Write a number as one; int() and float() took texts, too, and int() cut a fraction off."""
    value = old_value(node)
    convert = float if kind == "number" else int
    try:
        number = convert(value)
    except (TypeError, ValueError, OverflowError):
        return  # a template, or an error there
    if type(value) in (int, float) and number == value:
        return
    text = spelled(int(number) if number == int(number) else number)
    there = f"{name!r} is converted to a number"
    yield changed(node, INPUT, there, "it takes a number", text, replaced(old, node, text))


def _word(old: OldFile, node: Node) -> Iterator[Change]:
    """Write a word of a command line, or a variable, as Python writes the value."""
    if isinstance(node, ScalarNode):
        if (edit := as_python_text(old, node)) is not None:
            there = f"a program gets {edit.text}, as Python writes the value"
            here = "it gets the characters that are written"
            yield changed(node, SPELLING, there, here, edit.text, edit)
        return
    text = quoted_text(str(old_value(node)))
    there, here = "a program gets a list or mapping as Python writes it", "a text is needed"
    if "{{" in text:
        yield for_a_person(node, SPELLING, there, here, "write the text that the program needs")
    elif getattr(node, "flow_style", False):
        yield changed(node, SPELLING, there, here, text, replaced(old, node, text))
    else:
        yield for_a_person(node, SPELLING, there, here, f"write the text that the program needs: {text}")


def _inner_id(step: OldStep) -> Iterator[Change]:
    inner = get(step.inputs, "step")
    if isinstance(inner, MappingNode) and get(inner, "id") is None:
        name = f"{step.id}_inner"
        yield changed(
            inner,
            INPUT,
            f"the step in with_lock is called {name}",
            "it is called locked",
            f"id: {name}",
            AddKey(inner, "id", name),
        )
