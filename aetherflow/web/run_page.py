"""The page about a run: one file that needs no server, no network and, but for filters, no JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

from aetherflow.web.events import events
from aetherflow.web.failures import failures
from aetherflow.web.flow_text import flow_text
from aetherflow.web.graph import graph
from aetherflow.web.headline import headline
from aetherflow.web.logs import logs
from aetherflow.web.markup import Markup, joined, tag
from aetherflow.web.model import RunPage
from aetherflow.web.page import Section, page
from aetherflow.web.status import sign
from aetherflow.web.tables import table
from aetherflow.web.timeline import timeline

GENERATOR = "aetherflow runs export"


def run_page(shown: RunPage) -> Iterator[str]:
    """Yield the page piece by piece."""
    head = shown.headline
    described = {"generator": GENERATOR, "aetherflow-run": head.run_id, "aetherflow-status": head.status}
    foot = f"Written {shown.written_at:%Y-%m-%d %H:%M:%S} UTC by {shown.writer}."
    title = f"{sign(head.status)} {head.flow_id}: {head.status}, run {head.run_id}"
    return page(title, described, headline(head), list(_sections(shown)), foot)


def _sections(shown: RunPage) -> Iterator[Section]:
    if shown.failures:
        number = len(shown.failures) + shown.more_failures
        yield Section("failures", f"Failures ({number})", failures(shown.failures, shown.more_failures))
    if shown.stale.rows:
        yield Section("stale", "Stale results", table(shown.stale, "stale results"))
    if shown.graph.nodes or shown.graph.note:
        yield Section("graph", "Graph", graph(shown.graph))
    if shown.timeline.executions:
        yield Section("jobs", "Jobs and times", timeline(shown.timeline))
    if shown.resumes.rows:
        yield Section("resumes", "Resumes", table(shown.resumes, "resumes"))
    yield Section("values", "Params, outputs, marks", _values(shown))
    yield Section("events", f"Events ({shown.events.total:,})", events(shown.events))
    yield Section("logs", f"Logs ({shown.logs.total:,})", logs(shown.logs))
    yield Section("flow", "Flow", flow_text(shown.flow))
    yield Section("environment", "Environment and versions", _environment(shown))


def _values(shown: RunPage) -> Markup:
    tables = (("Params", shown.params), ("Outputs of jobs", shown.outputs), ("Marks", shown.marks))
    parts = [part for name, one in tables if one.rows for part in (tag("h3", name), table(one, name.lower()))]
    missing = [name.lower() for name, one in tables if not one.rows]
    if missing:
        parts.append(tag("p", f"It has no {', no '.join(missing)}.", class_="note"))
    return joined(parts)


def _environment(shown: RunPage) -> Markup:
    return joined(
        (
            tag("h3", "Variables that the flow reads"),
            table(shown.variables, "environment variables"),
            tag("h3", "Versions"),
            table(shown.versions, "versions"),
        )
    )
