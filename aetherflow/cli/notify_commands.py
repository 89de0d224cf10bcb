"""`aetherflow notify test`: send the messages of a flow or scheduler file now, to see that they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from aetherflow import exit_codes
from aetherflow.cli.flow_source import one_flow
from aetherflow.cli.options import FlowOption, Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import failure_as_json, print_report
from aetherflow.errors import UsageError
from aetherflow.event_loop import run_loop
from aetherflow.events.occasions import Occasion

OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)


def send_test(
    *,
    flow: Annotated[
        Path | None, typer.Argument(metavar="FLOW", help="The flow file or scheduler file (YAML).")
    ] = None,
    flow_yaml: FlowOption = None,
    event: Annotated[
        str,
        typer.Option(
            help="What the messages report; default: of each, the first value of its `on`.",
            metavar="|".join(OCCASIONS),
        ),
    ] = "",
    json: Json = False,
) -> int:
    """Send the messages of a flow or scheduler file now, as a test. Their subject begins with TEST."""
    from aetherflow.admin.messages_to_test import send_messages  # noqa: PLC0415 - it imports the engine

    if event not in ("", *OCCASIONS):
        raise UsageError(f"--event {event}: there is no such event", hint=f"one of {', '.join(OCCASIONS)}")
    file = one_flow(flow, flow_yaml)
    with failure_as_json("notify.test", str(file), as_json=json):
        sent = run_loop(lambda: send_messages(file, event))
    is_whole = all(one.status == "SUCCESS" for one in sent)
    code = exit_codes.SUCCESS if is_whole else exit_codes.FAILURE
    if json:
        return print_report("notify.test", {"file": str(file), "messages": sent}, code=code)
    for one in sent:
        why = f": {one.code}: {one.message}" if one.code else f": {one.message}" if one.message else ""
        print_text(f"{one.place}: {one.to}: {'sent' if one.status == 'SUCCESS' else 'not sent'}{why}")
        if one.hint:
            print_text(f"    hint: {one.hint}")
    return code
