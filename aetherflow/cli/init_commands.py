"""`init`: files to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

init_app = typer.Typer(help="Write files to begin with.", no_args_is_help=True, rich_markup_mode=None)

Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]


@init_app.command("plugin")
def init_plugin(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The plugin, and the folder that is made.")],
    *,
    force: Force = False,
) -> None:
    """Write a plugin with a step, a connector and tests that pass."""
    from aetherflow.app.init_plugin import write_plugin  # noqa: PLC0415 - only this command needs it
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above

    for path in write_plugin(name, force=force):
        print_text(str(path))
    print_text(f"try it: cd {name} && AETHERFLOW_PLUGIN_PATHS=src aetherflow run example.yaml")
