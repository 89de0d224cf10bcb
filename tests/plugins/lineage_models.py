"""OpenLineage events as the library's own models read them: what these refuse is no event."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Any

from openlineage.client import generated
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState


def _facet_classes() -> dict[str, type[Any]]:
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        imported = import_module(f"{generated.__name__}.{module.name}")
        for _, kind in inspect.getmembers(imported, inspect.isclass):
            if hasattr(kind, "_get_schema"):
                found[kind._get_schema()] = kind
    return found


FACETS = _facet_classes()


def read_event(event: dict[str, Any]) -> RunEvent:
    """Return an event of JSON as the model that it is; every field must be known there.

    Raises:
        Exception: a field is missing, unknown or not allowed.
    """
    known = {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"}
    assert event.keys() <= known
    assert event["schemaURL"] == RunEvent._get_schema()
    return RunEvent(
        eventType=RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=Run(event["run"]["runId"], _facets(event["run"].get("facets", {}))),
        job=Job(event["job"]["namespace"], event["job"]["name"], _facets(event["job"].get("facets", {}))),
        inputs=[
            InputDataset(one["namespace"], one["name"], inputFacets=_facets(one.get("inputFacets", {})))
            for one in event["inputs"]
        ],
        outputs=[
            OutputDataset(one["namespace"], one["name"], outputFacets=_facets(one.get("outputFacets", {})))
            for one in event["outputs"]
        ],
        producer=event["producer"],
    )


def _facets(facets: dict[str, Any]) -> dict[str, Any]:
    read = {}
    for name, facet in facets.items():
        own = {key: value for key, value in facet.items() if key not in ("_producer", "_schemaURL")}
        assert facet["_producer"].startswith("http")
        read[name] = FACETS[facet["_schemaURL"]](**own, producer=facet["_producer"])
    return read
