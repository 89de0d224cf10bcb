"""`aetherflow steps list|show`: list the installed step types, and show the inputs and outputs of one."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.cli.options import Json
from aetherflow.cli.type_listing import (
    fields_of,
    found_type,
    installed_types,
    print_problems,
    print_type,
    print_types,
    type_row,
)
from aetherflow.registry import STEP


def list_steps(*, json: Json = False) -> int:
    """List the step types."""
    registry = installed_types()
    rows = [
        type_row(name, registry.source(STEP, name), lambda name: registry.step_type(name).summary)
        for name in registry.step_names()
    ]
    print_types(rows, as_json=json)
    return print_problems(registry)


def show_step(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="The step type, as `steps list` names it.")],
    *,
    json: Json = False,
) -> int:
    """Show the inputs and outputs of a step type."""
    registry = installed_types()
    found = found_type(registry, registry.step_type, name)
    sections = {"inputs": fields_of(found.input_type), "outputs": fields_of(found.output_type)}
    print_type(name, found.summary, registry.source(STEP, name), sections, as_json=json)
    return print_problems(registry)
