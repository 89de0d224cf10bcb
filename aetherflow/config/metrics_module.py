"""Load the module that `AETHERFLOW_METRICS_MODULE` names; its `METRICS` receives the events of runs."""

from __future__ import annotations

import inspect

from aetherflow.config.user_code import load_module
from aetherflow.errors import ConfigError

VARIABLE = "AETHERFLOW_METRICS_MODULE"
HOOKS = ("on_run_start", "on_run_end", "on_job_start", "on_job_end", "on_step_start", "on_step_end")
"""The methods that a metrics object may have; see `aetherflow.observe.metrics`."""

_CODE = "AF511"


def load_metrics(module_name: str) -> object:
    """Return the `METRICS` of a module: an object with some of the hooks, or a function that takes events.

    Raises:
        ConfigError: the module cannot be imported, or its METRICS can receive nothing.
    """
    source = load_module(module_name, VARIABLE, _CODE)
    sink = source.attribute("METRICS", _CODE)
    problem = source.call(_CODE, _problem, sink)
    if problem:
        hint = f"METRICS is a function that takes an event, or an object with some of {', '.join(HOOKS)}"
        raise ConfigError(f"{source.origin}: {problem} ({VARIABLE})", hint=hint, code=_CODE)
    return sink


def _problem(sink: object) -> str:
    if sink is None:
        return "there is no `METRICS`"
    if isinstance(sink, type):
        return f"`METRICS` is the class {sink.__name__}, not an object of it"
    hooks = {name: getattr(sink, name) for name in HOOKS if getattr(sink, name, None) is not None}
    for name, hook in hooks.items():
        if not callable(hook):
            return f"`METRICS.{name}` is not a function"
        if inspect.iscoroutinefunction(hook):
            return f"`METRICS.{name}` is `async`; hooks are called in a thread"
    if hooks:
        return ""
    if not callable(sink):
        return f"`METRICS` has none of the hooks, and the {type(sink).__name__} cannot be called"
    if inspect.iscoroutinefunction(sink):
        return "`METRICS` is `async`; it is called in a thread"
    return ""
