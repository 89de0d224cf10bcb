"""Read the `on_late` steps of a scheduler file as a flow: each item that has some is a job of its name. Pure.

An alert runs one job of it. What is wrong with a step is reported at its place in the scheduler file.
"""

from __future__ import annotations

from typing import Any, get_args

from aetherflow.events.schedule_events import AlertKind
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.flow import FlowFile, FlowMeta, JobSpec, ParamSpec
from aetherflow.spec.schedule import ScheduleFile, is_schedule

PARAMS = {
    "alert": ParamSpec(type="enum", enum=list(get_args(AlertKind)), description="what happened"),
    "message": ParamSpec(default="none", description="a sentence about it"),
    "item": ParamSpec(default="none", description="the item"),
    "scheduled_at": ParamSpec(default="none", description="the time of its tick, in UTC"),
    "late_run": ParamSpec(default="none", description="the run that is late; `none` if there is none"),
}
"""What the steps know of an alert: `{{params.message}}`."""


class OnLateDocument(Document, frozen=True, eq=False):
    """A scheduler file whose `on_late` steps are found where a flow has its jobs.

    Attributes:
        items: the number of the item of each job.
    """

    items: tuple[int, ...] = ()

    def _find(self, path: NodePath) -> tuple[int, Any, int]:
        return super()._find(self._moved(path))

    def _moved(self, path: NodePath) -> NodePath:
        match path:
            case ("jobs", int(number), "steps", *rest) if number < len(self.items):
                return ("items", self.items[number], "on_late", *rest)
            case ("jobs", int(number), *_) if number < len(self.items):
                return ("items", self.items[number])
            case _:
                return ()


def has_on_late(file: Any) -> bool:
    """Whether the plain data of a file is a scheduler file that has `on_late` steps."""
    return (
        is_schedule(file)
        and isinstance(file["items"], list)
        and any(isinstance(item, dict) and item.get("on_late") for item in file["items"])
    )


def flow_of_on_late(spec: ScheduleFile, document: Document, item: str = "") -> tuple[FlowFile, Document]:
    """Return the flow of the `on_late` steps, of all items or one, and the document for its diagnostics."""
    chosen = [n for n, one in enumerate(spec.items) if one.on_late and item in ("", one.id)]
    flow = FlowFile(
        version=1,
        flow=FlowMeta(
            id=f"{spec.id}.on_late" if spec.id else "on_late",
            state=spec.state,
            params=PARAMS,
            timezone=spec.timezone,
        ),
        jobs=[JobSpec(id=spec.items[n].id, steps=spec.items[n].on_late) for n in chosen],
    )
    same = {name: getattr(document, name) for name in Document.__struct_fields__}
    return flow, OnLateDocument(**same, items=tuple(chosen))
