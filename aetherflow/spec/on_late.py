"""Read the `on_late` steps and the messages of a scheduler file as a flow. Pure.

Each item that has some is a job of its name: what runs when it is late. Messages about the ends of its runs
are jobs `ITEM@failure`, `ITEM@recovery` and `ITEM@success`. An alert runs one job. What is wrong with a step
is reported at its place in the scheduler file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeGuard, get_args

import msgspec

from aetherflow.events.occasions import Occasion
from aetherflow.events.schedule_events import AlertKind, EndKind, LateKind
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.flow import FlowFile, FlowMeta, JobSpec, NotifySpec, ParamSpec, ResourceSpec, StepSpec
from aetherflow.spec.messages import address_of, in_entry, message_resource, message_step, wrong_keys
from aetherflow.spec.schedule import ItemSpec, ScheduleFile, is_schedule

END_KINDS: tuple[EndKind, ...] = get_args(EndKind)
LATE_KINDS: tuple[LateKind, ...] = get_args(LateKind)

PARAMS = {
    "alert": ParamSpec(type="enum", enum=[*LATE_KINDS, *END_KINDS], description="what happened"),
    "message": ParamSpec(default="none", description="a sentence about it"),
    "item": ParamSpec(default="none", description="the item"),
    "scheduled_at": ParamSpec(default="none", description="the time of its tick, in UTC"),
    "late_run": ParamSpec(default="none", description="the run that it is about; `none` if there is none"),
}
"""What the steps know of an alert: `{{params.message}}`."""


class OnLateDocument(Document, frozen=True, eq=False):
    """A scheduler file whose steps are found where a flow has its jobs.

    Attributes:
        places: of each job the place of its item, then those of its steps.
        addresses: the places of the addresses of webhooks, by the names of their resources.
    """

    places: tuple[tuple[NodePath, ...], ...] = ()
    addresses: Mapping[str, NodePath] = msgspec.field(default_factory=dict)

    @classmethod
    def of(
        cls, document: Document, places: Sequence[tuple[NodePath, ...]], addresses: Mapping[str, NodePath]
    ) -> Self:
        """Return a document with these places for its jobs and resources."""
        same = {name: getattr(document, name) for name in Document.__struct_fields__}
        return cls(**same, places=tuple(places), addresses=addresses)

    def _find(self, path: NodePath) -> tuple[int, Any, int]:
        return super()._find(self._moved(path))

    def _moved(self, path: NodePath) -> NodePath:
        match path:
            case ("jobs", int(number), "steps", int(step), *rest) if number < len(self.places):
                place = self.places[number][step + 1] if step + 1 < len(self.places[number]) else ()
                return (*place, *(in_entry(rest) if "notify" in place else rest))
            case ("jobs", int(number), *_) if number < len(self.places):
                return self.places[number][0]
            case ("resources", str(name), *_) if name in self.addresses:
                return self.addresses[name]
            case ("resources", *_):
                return path
            case _:
                return ()


class _Entry(msgspec.Struct, frozen=True):
    """An entry of `notify`, and where it is."""

    spec: NotifySpec
    place: NodePath
    name: str

    def step(self, number: int) -> StepSpec:
        """Return its step; one that fails keeps no other from being sent."""
        step = message_step(self.spec, number, self.name)
        limit = self.spec.timeout_seconds
        return msgspec.structs.replace(
            step, id=f"{self.spec.to}-{number}", continue_on_error=True, timeout_seconds=limit
        )


def has_on_late(file: Any) -> bool:
    """Whether the plain data of a file is a scheduler file that has `on_late` steps or messages."""
    if not is_schedule(file) or not isinstance(file["items"], list):
        return False
    of_items = (item for item in file["items"] if isinstance(item, dict))
    return bool(file.get("notify")) or any(item.get("on_late") or item.get("notify") for item in of_items)


def is_late(kind: AlertKind) -> TypeGuard[LateKind]:
    """Whether an alert is about a late tick, not about how a run ended."""
    return kind not in END_KINDS


def job_of_alert(item_id: str, kind: AlertKind) -> str:
    """Return the job that runs for an alert."""
    return f"{item_id}@{kind}" if kind in END_KINDS else item_id


def occasions_of(spec: ItemSpec) -> set[Occasion]:
    """Return what the messages of an item report; it has those of the file, if it has none itself."""
    return {occasion for entry in spec.notify or [] for occasion in entry.on}


def reports(spec: ItemSpec, kind: AlertKind) -> bool:
    """Whether something runs for an alert of an item."""
    occasions = occasions_of(spec)
    return kind in occasions if kind in END_KINDS else bool(spec.on_late) or "late" in occasions


def flow_of_on_late(spec: ScheduleFile, document: Document, job: str = "") -> tuple[FlowFile, Document]:
    """Return the flow of the steps, of all items or of one alert, and the document for its diagnostics.

    Of all items, those that take the messages of the file have them once: at the first one.
    """
    wanted, _, kind = job.partition("@")
    jobs: list[JobSpec] = []
    places: list[tuple[NodePath, ...]] = []
    resources, addresses = dict(spec.resources), dict[str, NodePath]()
    is_first = True
    for number, item in enumerate(spec.items):
        if wanted not in ("", item.id):
            continue
        entries = _entries(spec, item, number)
        if item.notify is None:
            entries, is_first = (entries if is_first or wanted else []), is_first and not entries
        for entry in entries:
            if (resource := message_resource(entry.spec)) is not None:
                resources[entry.name] = resource
                addresses[entry.name] = (*entry.place, "url")
        for end in ("", *END_KINDS):
            if job and kind != end:
                continue
            steps = list(_steps(item, number, entries, end))
            if steps:
                id_ = f"{item.id}@{end}" if end else item.id
                jobs.append(JobSpec(id=id_, steps=[step for step, _ in steps]))
                places.append((("items", number), *(place for _, place in steps)))
    flow = FlowFile(
        version=1,
        flow=FlowMeta(
            id=f"{spec.id}.on_late" if spec.id else "on_late",
            state=spec.state,
            params=PARAMS,
            timezone=spec.timezone,
        ),
        jobs=jobs,
        resources=_used(resources, jobs) if job else resources,
    )
    return flow, OnLateDocument.of(document, places, addresses)


def _entries(spec: ScheduleFile, item: ItemSpec, number: int) -> list[_Entry]:
    """Return the entries of `notify` that count for an item, without those that are wrong."""
    of_file = item.notify is None
    place: NodePath = ("notify",) if of_file else ("items", number, "notify")
    own = "" if of_file else item.id
    listed: Sequence[NotifySpec] = spec.notify if item.notify is None else item.notify
    return [
        _Entry(entry, (*place, n), address_of(n + 1, own))
        for n, entry in enumerate(listed)
        if not any(wrong_keys(entry, spec.resources, is_in_flow=False))
    ]


def _steps(
    item: ItemSpec, number: int, entries: Sequence[_Entry], end: str
) -> Iterator[tuple[StepSpec, NodePath]]:
    """Yield the steps of a job with their places: messages first, which stop no other step."""
    for n, entry in enumerate(entries, 1):
        if (end or "late") in entry.spec.on:
            yield entry.step(n), entry.place
    if not end:
        for n, step in enumerate(item.on_late):
            yield step, ("items", number, "on_late", n)


def _used(resources: dict[str, ResourceSpec], jobs: Sequence[JobSpec]) -> dict[str, ResourceSpec]:
    """Return the resources that the inputs of steps may name: others need not be there for one alert."""
    written = msgspec.json.encode([step.inputs for job in jobs for step in job.steps]).decode()
    return {name: spec for name, spec in resources.items() if name in written}
