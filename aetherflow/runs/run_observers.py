"""Make the observers of a run that its settings name: the `METRICS` module, and installed observers."""

from __future__ import annotations

from functools import partial

from aetherflow.registry import observer_class
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.ports import ObserverSpec
from aetherflow.worker_threads import WorkerThreads


async def observers_of_settings(
    checked: CheckedFlow, run_id: str, threads: WorkerThreads
) -> list[ObserverSpec]:
    """Return the observers of a run; their modules are imported in a thread.

    Raises:
        ConfigError: a module or an observer cannot be used, or there is no observer of that name.
    """
    settings = checked.environment.settings
    specs: list[ObserverSpec] = []
    if settings.metrics_module:
        from aetherflow.config.metrics_module import load_metrics  # noqa: PLC0415 - few runs have one
        from aetherflow.observe.metrics import MetricsObserver  # noqa: PLC0415 - as above

        metrics = await threads.run(load_metrics, settings.metrics_module, abandon_on_cancel=True)
        specs.append(ObserverSpec("metrics", partial(MetricsObserver, metrics), "drop"))
    if not settings.observers:
        return specs
    from aetherflow.observe.installed_observer import InstalledObserver  # noqa: PLC0415 - few runs have one
    from aetherflow.sdk.observer import ObservedRun  # noqa: PLC0415 - as above

    run = ObservedRun(flow_id=checked.plan.flow_id, run_id=run_id, env=checked.environment.variables)
    for name in settings.observers:
        found = await threads.run(observer_class, name, checked.redactor, abandon_on_cancel=True)
        specs.append(ObserverSpec(name, partial(InstalledObserver, found, run), "drop"))
    return specs
