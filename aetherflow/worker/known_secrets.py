"""Learn the secrets of a run on a worker before a step begins there, as the engine does before a run.

A program may print a secret of a resource that its step does not open: what this worker can resolve is
masked in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aetherflow.config.resources import register_known
from aetherflow.config.secret_fields import SecretField, secret_fields
from aetherflow.config.secret_reference import SecretReference
from aetherflow.config.value_providers import Surroundings, fetch_secret
from aetherflow.errors import AetherFlowError
from aetherflow.worker.run_on_worker import RunOnWorker

AT_ONCE = 8
"""How many secrets of one run are fetched at a time."""


def learn_secrets(run: RunOnWorker, mark: Callable[[], Mapping[str, str]]) -> list[str]:
    """Register the secrets of all resources of a run; return what could not be resolved here, and why.

    Blocking: secrets are fetched from files, programs and the keyring.

    Args:
        run: the run.
        mark: returns the variables of a program so that it does not outlive the worker.
    """
    problems: list[str] = []
    fields = [*_fields(run, problems)]
    if fields:
        with ThreadPoolExecutor(AT_ONCE, "aetherflow secrets") as threads:
            problems += filter(None, threads.map(partial(_learn, run, mark), fields))
    return problems


def _fields(run: RunOnWorker, problems: list[str]) -> Iterator[SecretField]:
    """Register what the environment shows, and yield what must be fetched or decoded."""
    env = run.environment.variables
    for name in run.package.resources:
        try:
            prepared = run.prepared(name).prepared
        except AetherFlowError as error:
            problems.append(f"resource {name!r}: {error.message}")
            continue
        register_known(prepared, env, run.redactor)
        yield from secret_fields(name, prepared, env, can_decode=run.environment.secrets is not None)


def _learn(run: RunOnWorker, mark: Callable[[], Mapping[str, str]], field: SecretField) -> str:
    """Fetch and decode one secret; return why it could not be, or an empty text."""
    try:
        value = field.source
        if isinstance(value, SecretReference):
            value = fetch_secret(value, Surroundings(run.environment.variables, mark))
            field.register(value, run.redactor)
        if field.is_decoded and run.environment.secrets is not None:
            field.register(run.environment.secrets.decode(value), run.redactor)
    except AetherFlowError as error:
        return f"{field}: {error.message}"
    return ""
