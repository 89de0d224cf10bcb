"""Parse the arguments and call the command that they name. Imports nothing heavy."""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated

import typer

from aetherflow._version import __version__
from aetherflow.cli.command_group import CommandGroup
from aetherflow.cli.commands import named_report

SUMMARY = (
    "Data workflows written in YAML: validated before they run, resumed where they failed. "
    "To begin: aetherflow help tutorial."
)

app = typer.Typer(
    cls=CommandGroup,
    name="aetherflow",
    help=SUMMARY,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run_command_line(arguments: list[str]) -> int:
    """Run one command and return the exit code (manual, exit-codes)."""
    run = partial(app, args=arguments, prog_name="aetherflow", standalone_mode=False)
    if os.environ.get("_AETHERFLOW_COMPLETE", "").startswith("complete_"):  # set by a shell, at a Tab
        from aetherflow.cli.completion import answer  # noqa: PLC0415 - only a shell asks

        return answer(run)
    try:
        result = run()
    except (typer.Exit, typer.Abort) as leaving:
        return getattr(leaving, "exit_code", 1)
    except Exception as error:  # noqa: BLE001 - an error of ours, a usage error of typer, or a bug
        from aetherflow.cli.report_error import report_error  # noqa: PLC0415 - only errors need it

        return report_error(error, show_trace="--debug" in arguments, report=named_report(arguments))
    return result if isinstance(result, int) else 0


@app.callback(invoke_without_command=True, help=SUMMARY)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[  # noqa: ARG001 - looked up in the command line: an error may come before it is read
        bool, typer.Option("--debug", help="Show the traceback of an internal error.")
    ] = False,
) -> None:
    """Read the options before a command."""
    if version:
        typer.echo(f"aetherflow {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
