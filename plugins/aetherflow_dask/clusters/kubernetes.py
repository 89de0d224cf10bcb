"""A cluster of pods, which the operator of Dask makes from a resource `DaskCluster` (dask-kubernetes)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from secrets import token_hex
from typing import Any

import anyio
from distributed.core import Status
from tornado.ioloop import IOLoop

from aetherflow import ExecutorError, MissingExtra
from aetherflow_dask.clusters.options import KubernetesOptions
from aetherflow_dask.clusters.worker_command import Log, Started, WorkerCommand

CLOSE_SECONDS = 60
"""How long Kubernetes may take to delete a cluster before we leave that to it."""

SCHEDULER_VARIABLES = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
"""The engine decides what is tried again."""


def cluster_spec(options: KubernetesOptions, number: int, workers: WorkerCommand) -> dict[str, Any]:
    """Return the resource `DaskCluster`, as dask-kubernetes makes it, with workers of AetherFlow.

    Raises:
        MissingExtra: dask-kubernetes is not installed.
    """
    asked = {"requests": options.requests, "limits": options.limits}
    spec: dict[str, Any] = _library().make_cluster_spec(
        name=options.name or f"aetherflow-{token_hex(4)}",
        image=options.image,
        n_workers=number,
        resources={kind: amounts for kind, amounts in asked.items() if amounts},
        env=options.env,
    )
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    scheduler["env"] = _variables({**options.env, **SCHEDULER_VARIABLES})
    pod = spec["spec"]["worker"]["spec"]
    (container,) = pod["containers"]
    # The operator gives a worker its name and the address of the scheduler as variables.
    container["args"] = [
        *("aetherflow", "worker", "--name", "$(DASK_WORKER_NAME)", "--threads", str(workers.threads)),
        *workers.options(project=options.project),
    ]
    container["env"] = _variables(options.env)
    container["ports"] = []
    if options.env_from_secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in options.env_from_secrets]
    if options.volumes:
        pod["volumes"] = options.volumes
    if options.volume_mounts:
        container["volumeMounts"] = options.volume_mounts
    return spec


def _variables(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _library() -> Any:
    """Import dask-kubernetes.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module("dask_kubernetes.operator")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"cluster: kubernetes needs the package {error.name!r}, which is not installed",
            hint="pip install 'aetherflow[kubernetes]'",
        ) from None


@asynccontextmanager
async def kubernetes_cluster(
    options: KubernetesOptions, number: int, workers: WorkerCommand, seconds: float, log: Log
) -> AsyncIterator[Started]:
    """Create a cluster in Kubernetes for the length of a block.

    Args:
        options: what its pods are like.
        number: how many workers.
        workers: what they have in common.
        seconds: how long Kubernetes may take.
        log: shows the name of the cluster.

    Raises:
        MissingExtra: dask-kubernetes is not installed.
        ExecutorError: Kubernetes cannot be reached, or does not make it.
    """
    spec = cluster_spec(options, number, workers)
    name = spec["metadata"]["name"]
    cluster = _library().KubeCluster(
        custom_cluster_spec=spec,
        namespace=options.namespace or None,
        loop=IOLoop.current(),  # else the library does not see that it is called from the loop
        asynchronous=True,
        quiet=True,
        shutdown_on_close=True,
        resource_timeout=int(seconds),
    )
    try:
        try:
            await cluster
        except Exception as error:  # the library lets through what any of its own libraries raises
            said = str(error).strip().splitlines()
            raise ExecutorError(
                f"Kubernetes does not make the cluster {name}: {said[0] if said else type(error).__name__}",
                hint="is the operator of Dask installed there, and does kubectl work with this context?",
                code="AF837",
            ) from error
        log("info", f"the cluster {name} was created in the namespace {cluster.namespace}")
        yield cluster.scheduler_address, None
    finally:
        with anyio.move_on_after(2 * CLOSE_SECONDS, shield=True):
            await _close(cluster, name, log)


async def _close(cluster: Any, name: str, log: Log) -> None:
    """Delete a cluster, which may not be there."""
    try:
        with anyio.fail_after(CLOSE_SECONDS):
            await cluster.close(timeout=CLOSE_SECONDS)
    except Exception as error:  # noqa: BLE001 - as above; it must not hide why the block ended
        log("warning", f"the cluster {name} may be left: kubectl delete daskcluster {name} ({error!r})")
        cluster.status = Status.closed
