"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Flow = Annotated[Path | None, typer.Argument(metavar="FLOW", help="The flow file (YAML).")]
FlowOption = Annotated[Path | None, typer.Option("--flow-yaml", metavar="FLOW", help="The same as FLOW.")]
State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The state database; default: the one of AETHERFLOW_STATE_ROOT."),
]
FlowOfState = Annotated[
    Path | None, typer.Option("--flow-yaml", metavar="FLOW", help="Take the state database of this flow.")
]
Events = Annotated[
    str,
    typer.Option(
        help="Append every event as a JSON line to a file, or to standard output (-).", metavar="FILE|-"
    ),
]
LogFormat = Annotated[
    str, typer.Option(help="text, or json: JSON lines on standard output.", metavar="text|json")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
