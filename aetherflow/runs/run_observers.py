"""Make the observers of a run that its settings name: the `METRICS` module, and installed observers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from aetherflow.config.settings import Settings
from aetherflow.redaction import Redactor
from aetherflow.registry import observer_class
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.ports import ObserverSpec
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.sdk.observer import EventObserver, ObservedRun


class NamedObservers(msgspec.Struct, frozen=True, eq=False):
    """What settings name, imported.

    Attributes:
        metrics: what the `METRICS` module exports; None if there is no such module.
        makers: what makes the installed observers, by their names.
    """

    metrics: Any = None
    makers: dict[str, Callable[[ObservedRun], EventObserver]] = {}


async def named_observers(settings: Settings, redactor: Redactor, threads: WorkerThreads) -> NamedObservers:
    """Import the observers that settings name, in a thread.

    Raises:
        ConfigError: a module or an observer cannot be used, or there is no observer of that name.
    """
    metrics = None
    if settings.metrics_module:
        from aetherflow.config.metrics_module import load_metrics  # noqa: PLC0415 - few runs have one

        metrics = await threads.run(load_metrics, settings.metrics_module, abandon_on_cancel=True)
    makers = {
        name: await threads.run(observer_class, name, redactor, abandon_on_cancel=True)
        for name in settings.observers
    }
    return NamedObservers(metrics, makers)


async def observers_of_settings(
    checked: CheckedFlow, run_id: str, threads: WorkerThreads
) -> list[ObserverSpec]:
    """Return the observers of a run.

    Raises:
        ConfigError: see `named_observers`.
    """
    named = await named_observers(checked.environment.settings, checked.redactor, threads)
    specs: list[ObserverSpec] = []
    if named.metrics is not None:
        from aetherflow.observe.metrics import MetricsObserver  # noqa: PLC0415 - few runs have one

        specs.append(ObserverSpec("metrics", partial(MetricsObserver, named.metrics), "drop"))
    if not named.makers:
        return specs
    from aetherflow.observe.installed_observer import InstalledObserver  # noqa: PLC0415 - few runs have one
    from aetherflow.sdk.observer import ObservedRun  # noqa: PLC0415 - as above

    run = ObservedRun(flow_id=checked.plan.flow_id, run_id=run_id, env=checked.environment.variables)
    specs += [
        ObserverSpec(name, partial(InstalledObserver, make, run), "drop")
        for name, make in named.makers.items()
    ]
    return specs
