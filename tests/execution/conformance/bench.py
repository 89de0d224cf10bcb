"""Runs whose steps come from one plugin file, performed by this process, by threads or by a Dask cluster."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from aetherflow.events.run_events import Event
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.execution.worker_placement import WorkersOfRun, worker_placement
from aetherflow.plugin_output import captured
from aetherflow.process.printed_output import recorded_output
from aetherflow.registry import Registry
from aetherflow.runs.run_output import run_output
from aetherflow.runs.run_package import RunPackage, encoded
from aetherflow.sdk.connector import Resource
from aetherflow.sdk.executor import Needs, OpenExecutor
from aetherflow.spec.placed import PlacedResource
from aetherflow.worker.run_on_worker import open_run
from tests.execution.live_run import ENVIRONMENT, RUN_ID, LiveRun, live
from tests.execution.thread_executor import PLACE, ThreadExecutor

PLUGIN = Path(__file__).with_name("conformance_steps.py")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Kind = Literal["local", "thread", "dask"]


class Bench:
    """Opens runs that are performed in one of the ways.

    Attributes:
        kind: in which.
        folder: for the files of a test.
        trace: a file to which steps write what they do.
    """

    def __init__(self, kind: Kind, folder: Path, executor: OpenExecutor | None = None) -> None:
        """Take the executor that a module shares; with `thread` each run has its own."""
        self.kind = kind
        self.folder = folder
        self.trace = folder / "trace"
        self._executor = executor
        self._registry = Registry([PLUGIN])

    @property
    def noted(self) -> list[str]:
        """What the steps have written to `trace`."""
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    @asynccontextmanager
    async def live(self, text: str, *types: str, **more: Any) -> AsyncIterator[LiveRun]:
        """Open a run of steps of these types."""
        package = RunPackage(
            flow_id="demo",
            run_id=RUN_ID,
            run_date="2026-01-02",
            traceparent=TRACEPARENT,
            variables=ENVIRONMENT,
            plugin_paths=[str(PLUGIN)],
            resources={"shelf": PlacedResource("shelf", "folder", config={"path": str(self.trace)})},
        )
        here = open_run(package, PLACE, types=self._registry, own=ENVIRONMENT)

        def resource(name: str) -> Resource:
            return here.resource(name, mark=dict, warn=print)

        connectors = ConnectorPool(
            resource, self._registry.connector_class, knows=package.resources.__contains__
        )
        services = {
            "record_output": recorded_output,
            "run_date": package.run_date,
            "connectors": connectors,
            "trace": RunTrace("demo", RUN_ID, TRACEPARENT),
        }
        runs: list[LiveRun] = []

        def announce(event: Event) -> None:
            runs[0].services.announce(event)

        async with AsyncExitStack() as stack:
            placement = None
            executor = self._executor
            if self.kind == "thread":
                executor = ThreadExecutor(None)
                stack.push_async_callback(executor.aclose)
            if executor is not None:
                text_of_package = encoded(package)
                workers = WorkersOfRun(
                    executor=executor,
                    package_id=uuid.uuid4().hex,
                    package_text=lambda: text_of_package,
                    needs_of=lambda _: Needs(),
                    announce=announce,
                    conceal=lambda call: call,
                )
                placement = await stack.enter_async_context(worker_placement(workers))
            steps = [self._registry.step_type(name) for name in types]
            opened = live(
                text,
                self.folder,
                steps,
                placement=placement,
                more_services=services,
                has_output_files=True,
                **more,
            )
            run = await stack.enter_async_context(opened)
            runs.append(run)
            with captured(), run_output():
                yield run
            await connectors.aclose()
