"""Commands for people who write flows: graph, schema, explain-code, help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from aetherflow.cli.options import Flow, FlowOption, Json

FileKind = Literal["flow", "profiles", "manifest", "scheduler"]
GraphFormat = Literal["text", "mermaid", "dot"]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("schema")(schema)
    app.command("graph")(graph)
    app.command("explain-code")(explain_code)
    app.command("help")(show_help)


def schema(
    *,
    kind: Annotated[FileKind, typer.Option(help="The kind of file that it describes.")] = "flow",
) -> None:
    """Print the JSON Schema of a file, for editors. It knows the step types that are installed."""
    from aetherflow.admin.schema_export import schema_of  # noqa: PLC0415 - imports every step type
    from aetherflow.cli.output import print_json  # noqa: PLC0415 - as above

    print_json(schema_of(kind, os.environ))


def graph(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    graph_format: Annotated[
        GraphFormat, typer.Option("--format", help="A drawing for the terminal, or text for other tools.")
    ] = "text",
    json: Json = False,
) -> None:
    """Draw the jobs of a flow and what each one waits for."""
    from aetherflow.cli import graph as command  # noqa: PLC0415 - imports the spec
    from aetherflow.errors import UsageError  # noqa: PLC0415 - as above

    if (flow is None) == (flow_yaml is None):
        raise UsageError(
            "name one flow file: aetherflow graph FLOW (or --flow-yaml FLOW)",
            hint="aetherflow init writes a first flow; aetherflow graph --help shows the options",
        )
    command.print_graph(flow or flow_yaml or Path(), graph_format, as_json=json)


def explain_code(
    code: Annotated[str, typer.Argument(metavar="CODE", help="As AF111.")] = "",
    *,
    every: Annotated[bool, typer.Option("--list", help="List all codes.")] = False,
    json: Json = False,
) -> None:
    """Say what the code of an error means, and what to do."""
    from aetherflow.cli import codes  # noqa: PLC0415 - imports the entries
    from aetherflow.errors import UsageError  # noqa: PLC0415 - as above

    if bool(code) == every:
        raise UsageError("name one code: aetherflow explain-code AF111 (or --list)")
    if every:
        codes.list_codes(as_json=json)
    else:
        codes.explain_code(code, as_json=json)


def show_help(
    topic: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TOPIC|STEP|CODE]", help="A page, a heading, a step type or a code."),
    ] = None,
    *,
    search: Annotated[
        str, typer.Option(metavar="WORDS", help="List the sections that contain all these words.")
    ] = "",
) -> None:
    """Show the manual: a page, a step type or a code. It needs no network."""
    from aetherflow.cli import help as command  # noqa: PLC0415 - reads the manual

    raise typer.Exit(command.show_help(topic or [], search_words=search))
