"""The commands `aetherflow bundle ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aetherflow.cli.options import Json

bundle_app = typer.Typer(
    help="Bundles of flows, and where they come from.", no_args_is_help=True, rich_markup_mode=None
)

Manifest = Annotated[Path, typer.Option("--bundle-manifest", metavar="FILE", help="The manifest (YAML).")]


@bundle_app.command("sync")
def bundle_sync(*, bundle_manifest: Manifest, json: Json = False) -> None:
    """Bring here what changed in the source, and make it active."""
    from aetherflow.cli import bundle  # noqa: PLC0415 - imports the engine

    raise typer.Exit(bundle.sync(bundle_manifest, as_json=json))


@bundle_app.command("status")
def bundle_status(*, bundle_manifest: Manifest, json: Json = False) -> None:
    """Say what is active. How the last sync ended, and whether the source has changed since."""
    from aetherflow.cli import bundle  # noqa: PLC0415 - imports the engine

    raise typer.Exit(bundle.status(bundle_manifest, as_json=json))
