"""`steps show` and `connectors show`: every field is described, and the example is one that works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from aetherflow.cli.type_example import connector_example, step_example
from aetherflow.cli.type_fields import Field, fields_of
from aetherflow.registry import Registry
from tests.cli.command_line import CommandLine

REGISTRY = Registry()
STEPS = REGISTRY.step_names()
CONNECTORS = REGISTRY.connector_names()


def without_words(fields: list[Field], place: str = "") -> Iterator[str]:
    for field in fields:
        if not field.get("description"):
            yield f"{place}{field['name']}"
        yield from without_words(field.get("fields", []), f"{place}{field['name']}.")


def rendered(inputs: dict[str, Any]) -> dict[str, Any]:
    """Replace the template that gives a list of files."""
    return {key: [] if key == "files" and isinstance(value, str) else value for key, value in inputs.items()}


@pytest.mark.parametrize("name", STEPS)
def test_every_input_and_output_of_a_shipped_step_is_described(name: str) -> None:
    found = REGISTRY.step_type(name)

    assert [*without_words(fields_of(found.input_type))] == []
    assert [*without_words(fields_of(found.output_type))] == []


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_field_of_a_shipped_connector_is_described(name: str) -> None:
    found = REGISTRY.connector_class(name)

    assert [*without_words(fields_of(found.config_type))] == []
    assert [*without_words(fields_of(found.options_type))] == []


@pytest.mark.parametrize("name", STEPS)
def test_the_example_of_a_step_is_a_step_of_that_type_with_what_it_needs(name: str) -> None:
    input_type = REGISTRY.step_type(name).input_type

    (shown,) = yaml.safe_load(step_example(name, fields_of(input_type), in_manual=True))

    assert shown["type"] == name
    msgspec.convert(rendered(shown.get("inputs", {})), input_type, strict=False)


@pytest.mark.parametrize("name", CONNECTORS)
def test_the_example_of_a_connector_is_a_resource_with_what_it_needs(name: str) -> None:
    cls = REGISTRY.connector_class(name)

    (shown,) = yaml.safe_load(connector_example(name, fields_of(cls.config_type), in_manual=True)).values()

    assert f"{shown['kind']}:{shown['driver']}" == name
    assert shown.get("config", {}).keys() >= {
        one["name"] for one in fields_of(cls.config_type) if one["required"]
    }


class Inner(msgspec.Struct):
    """One rule.

    Attributes:
        most: how many; also `max`.
        under: more rules.
    """

    most: int
    max: int | None = None
    under: list[Inner] = []


class Outer(msgspec.Struct):
    rules: list[Inner]
    bare: str
    one: Inner | None = None
    how: str = "fast"


def test_the_fields_of_a_struct_have_what_its_docstring_says() -> None:
    rules, bare, one, how = fields_of(Outer)

    assert bare == {"name": "bare", "type": "text", "required": True}
    assert how == {"name": "how", "type": "text", "required": False, "default": '"fast"'}
    assert (rules["type"], rules["description"]) == ("list of mapping", "One rule.")
    assert rules["fields"] == one["fields"]
    most, other, under = rules["fields"]
    assert most["description"] == "how many; also `max`."
    assert other["description"] == "the same as most"
    assert under == {
        "name": "under",
        "type": "list of mapping",
        "required": False,
        "default": "[]",
        "description": "more rules.",
    }, "a Struct within itself is described once"


PLUGIN = """
from typing import Literal
import msgspec
from aetherflow import step

class Sent(msgspec.Struct):
    \"\"\"What was sent.

    Attributes:
        how_many: of the rows that were new.
    \"\"\"
    how_many: int

class Send(msgspec.Struct):
    \"\"\"What to send.

    Attributes:
        to: a name from the address book.
    \"\"\"
    to: str
    at_most: int = 3
    mode: Literal["fast", "safe"] = "safe"

@step("acme.send")
def send(context, inputs: Send) -> Sent:
    \"\"\"Send rows.\"\"\"
"""


def test_a_plugin_is_shown_with_the_words_of_its_docstrings_and_an_example(cli: CommandLine) -> None:
    cli.write("plugins/a.py", PLUGIN)
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.folder / "plugins")

    shown = cli.run("steps", "show", "acme.send").out.splitlines()[2:]
    report: dict[str, Any] = cli.run("steps", "show", "acme.send", "--json").json()

    assert shown == [
        "inputs:",
        "  to: text (required)",
        "      a name from the address book.",
        "  at_most: integer (default 3)",
        '  mode: fast | safe (default "safe")',
        "outputs:",
        "  how_many: integer",
        "      of the rows that were new.",
        "example:",
        "  - id: send",
        "    type: acme.send",
        "    inputs: {to: TEXT}",
    ]
    assert report["inputs"][0]["description"] == "a name from the address book."
    assert report["example"].startswith("- id: send\n")


def test_inputs_of_which_one_is_required_say_so(cli: CommandLine) -> None:
    shown = cli.run("steps", "show", "mail_send").out
    assert "  body: text or mapping or list or null (required: body or body_path)\n" in shown
    assert "  body_path: text or null (required: body or body_path)\n" in shown
    pack = cli.run("connectors", "show", "archive:pyzipper").out
    assert pack.endswith("  archive: {kind: archive, driver: pyzipper}\n")
