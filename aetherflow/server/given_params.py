"""Check what a person gives with a firing: its params and its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aetherflow.config.param_values import Reading, list_of
from aetherflow.config.params import read_params
from aetherflow.errors import AetherFlowError, UsageError
from aetherflow.language.dates import day_in
from aetherflow.redaction import names_a_secret
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.schedule.instant_text import parse_instant
from aetherflow.schedule.item import Item
from aetherflow.schedule.item_params import params_at
from aetherflow.written_path import folder_of


class UnfitRequest(UsageError):
    """What was given with a firing or a backfill does not fit the item."""

    default_code = "AF445"


def given_params(
    item: Item, params: Sequence[tuple[str, str]], scheduled: datetime, process_env: Mapping[str, str]
) -> dict[str, Any]:
    """Return the params to store with a firing, read as its flow will read them. Blocking.

    A param of type list may be given several times: each adds its items. A flow that cannot be loaded now is
    not asked: its run will say why.

    Raises:
        UnfitRequest: one is a secret, which the database may not hold.
        ParamsError: they do not fit the flow.
    """
    flow = None
    if item.flow_file is not None and item.manifest is None:
        flow = _load(item.flow_file, process_env)
    specs = flow.plan.flow.params if flow is not None else {}
    given: dict[str, Any] = {}
    for name, value in params:
        if names_a_secret(name):
            raise UnfitRequest(
                f"--param {name}: a secret is not stored with a firing",
                hint="give it in the params of the item, or in the environment of the server",
            )
        is_list = name in given and name in specs and specs[name].type == "list"
        given[name] = [*list_of(given[name]), *list_of(value)] if is_list else value
    if flow is not None:
        reading = Reading(
            day_in(scheduled, flow.plan.flow.timezone or item.zone),
            item.folder,
            folder_of(Path(flow.plan.file)),
        )
        read_params(specs, params_at(item, scheduled, scheduled) | given, reading=reading)
    return given


def _load(file: Path, process_env: Mapping[str, str]) -> CheckedFlow | None:
    try:
        return load_checked_flow(file, process_env)
    except AetherFlowError:
        return None  # the run reports it, as at every tick


def past_instant(text: str, item: Item, now: datetime) -> datetime:
    """Read a time that has passed, on the clocks of the item if it has no offset.

    Raises:
        UsageError: it is no time.
        UnfitRequest: it is not past: its tick will fire by itself.
    """
    at = parse_instant(text, ZoneInfo(item.zone))
    if at > now:
        raise UnfitRequest(
            f"--at {text} is in the future",
            hint="a tick to come fires by itself; give a time that has passed",
        )
    return at
