"""`aetherflow connectors list|show`: list the installed connectors, and show the config of one."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.cli.options import Json
from aetherflow.cli.type_listing import (
    fields_of,
    first_line,
    found_type,
    installed_types,
    print_problems,
    print_type,
    print_types,
    type_row,
)
from aetherflow.registry import CONNECTOR


def list_connectors(*, json: Json = False) -> int:
    """List the connectors."""
    registry = installed_types()
    rows = [
        type_row(name, registry.source(CONNECTOR, name), lambda name: registry.connector_class(name).__doc__)
        for name in registry.connector_names()
    ]
    print_types(rows, as_json=json)
    return print_problems(registry)


def show_connector(
    name: Annotated[
        str, typer.Argument(metavar="KIND:DRIVER", help="The connector, as `connectors list` names it.")
    ],
    *,
    json: Json = False,
) -> int:
    """Show the config and options of a connector."""
    registry = installed_types()
    found = found_type(registry, registry.connector_class, name)
    sections = {"config": fields_of(found.config_type), "options": fields_of(found.options_type)}
    source = registry.source(CONNECTOR, name)
    print_type(name, first_line(found.__doc__), source, sections, as_json=json)
    return print_problems(registry)
