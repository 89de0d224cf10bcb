"""Find an example of a step type or connector in the manual, or write one from its required fields."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from aetherflow.cli.type_fields import Field
from aetherflow.manual.pages import page, topics

_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TYPE = re.compile(r"\btype: ([\w.-]+)")
_PLACEHOLDERS = {"integer": "1", "number": "1", "duration": "5m", "boolean": "true", "mapping": "{}"}


def step_example(name: str, inputs: list[Field], *, in_manual: bool) -> str:
    """Return a step of this type as YAML: the first one in the manual, else one with what is required."""
    for item in _items(rf"\btype: {re.escape(name)}(?![\w.-])") if in_manual else ():
        found = _TYPE.search(item)
        if found is not None and found[1] == name:
            return item
    needed = _required(inputs)
    given = f"\n  inputs: {{{needed}}}" if needed else ""
    return f"- id: {name.rpartition('.')[2]}\n  type: {name}{given}"


def connector_example(name: str, config: list[Field], *, in_manual: bool) -> str:
    """Return a resource with this connector as YAML: the first one in the manual, else what is required."""
    kind, _, driver = name.partition(":")
    begins = rf"\w+: \{{kind: {re.escape(kind)}, driver: {re.escape(driver)}, config: \{{"
    wanted = re.compile(rf"^ *({begins}.*\}}\}})", re.MULTILINE)
    for block in _blocks() if in_manual else ():
        if found := wanted.search(block):
            return found[1]
    first = [one for one in config[:1] if one.get("default", "null") == "null"]
    needed = _required(config) or ", ".join(f"{one['name']}: {_placeholder(one)}" for one in first)
    given = f", config: {{{needed}}}" if needed else ""
    return f"{kind}: {{kind: {kind}, driver: {driver}{given}}}"


def _required(fields: list[Field]) -> str:
    """Return what is required; of several fields of which one is, the one that is named first."""
    needed = [one for one in fields if one["required"] or one.get("one_of", [""])[0] == one["name"]]
    return ", ".join(f"{field['name']}: {_placeholder(field)}" for field in needed)


def _placeholder(field: Field) -> str:
    kind = str(field["type"]).partition(" or ")[0]
    if kind.startswith("list"):
        return "[]"
    return _PLACEHOLDERS.get(kind, kind.partition(" | ")[0] if " | " in kind else "TEXT")


def _blocks() -> Iterator[str]:
    """Yield the YAML of the manual, that of the pages about steps and resources first."""
    for topic in dict.fromkeys(("steps", "resources", *topics())):
        yield from _BLOCK.findall(page(topic))


def _items(pattern: str) -> Iterator[str]:
    """Yield the list items of the manual's YAML with a line that matches."""
    for block in _blocks():
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                start = number
                while start and not lines[start].lstrip().startswith("- "):
                    start -= 1
                yield _item(lines, start)


def _item(lines: list[str], start: int) -> str:
    """Return the list item that begins in a line: that line and the deeper ones after it."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
        end += 1
    return textwrap.dedent("\n".join(lines[start:end])).strip()
