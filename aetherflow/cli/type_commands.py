"""`aetherflow steps list|show` and `connectors list|show`: what is installed, and what each one takes."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.type_example import connector_example, step_example
from aetherflow.cli.type_fields import fields_of
from aetherflow.cli.type_listing import (
    first_line,
    found_type,
    installed_types,
    print_type,
    print_types,
)
from aetherflow.registry import CONNECTOR, STEP, Registry


def list_steps(*, json: Json = False) -> int:
    """List the step types."""
    registry = installed_types()
    return print_types(registry, STEP, lambda name: registry.step_type(name).summary, as_json=json)


def show_step(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="The step type, as `steps list` names it.",
            autocompletion=completers.step_types,
        ),
    ],
    *,
    json: Json = False,
) -> int:
    """Show the inputs and outputs of a step type."""
    registry = installed_types()
    found = found_type(registry, registry.step_type, name)
    sections = {"inputs": fields_of(found.input_type), "outputs": fields_of(found.output_type)}
    example = step_example(name, sections["inputs"], in_manual=_is_shipped(registry, STEP, name))
    return print_type(registry, STEP, name, found.summary, sections, example, as_json=json)


def list_connectors(*, json: Json = False) -> int:
    """List the connectors."""
    registry = installed_types()
    return print_types(registry, CONNECTOR, lambda name: registry.connector_class(name).__doc__, as_json=json)


def show_connector(
    name: Annotated[
        str,
        typer.Argument(
            metavar="KIND:DRIVER",
            help="The connector, as `connectors list` names it.",
            autocompletion=completers.connectors,
        ),
    ],
    *,
    json: Json = False,
) -> int:
    """Show the config and options of a connector."""
    registry = installed_types()
    found = found_type(registry, registry.connector_class, name)
    sections = {"config": fields_of(found.config_type), "options": fields_of(found.options_type)}
    in_manual = _is_shipped(registry, CONNECTOR, name)
    example = connector_example(name, sections["config"], in_manual=in_manual)
    return print_type(registry, CONNECTOR, name, first_line(found.__doc__), sections, example, as_json=json)


def _is_shipped(registry: Registry, kind: str, name: str) -> bool:
    """Whether a type is one that the manual describes; another of the same name is a plugin's."""
    return registry.source(kind, name) == "aetherflow"
