"""`aetherflow schema`: print the JSON Schema of a kind of file."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from aetherflow.admin.schema_export import Kind, schema_of
from aetherflow.cli.printing import print_json


def schema(*, kind: Annotated[Kind, typer.Option(help="The kind of file to describe.")] = "flow") -> None:
    """Print the JSON Schema of a kind of file, for editors. It includes the installed step types."""
    print_json(schema_of(kind, os.environ))
