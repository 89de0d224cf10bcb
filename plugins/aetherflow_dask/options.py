"""The options of the executor `dask`, as flows and project files write them. Imports nothing of Dask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aetherflow import Duration, TlsFiles
from aetherflow_dask.clusters.options import KubernetesOptions, SlurmOptions, SshOptions

ClusterKind = Literal["local", "ssh", "slurm", "kubernetes"]
Amount = Annotated[float, Meta(gt=0)]
Seconds = Annotated[Duration, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
MOST_PORT = 65_535
PROTOCOLS = ("tcp", "tls", "ws", "wss")


class DaskOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which cluster runs the attempts, and what its workers offer.

    Attributes:
        address: of the scheduler of a cluster that runs already: `tcp://HOST:8786`, or `tls://`.
        cluster: which kind of cluster to start, where no address is given; None: `local`.
        ssh: the hosts of a cluster `ssh`.
        slurm: the jobs of a cluster `slurm`.
        kubernetes: the pods of a cluster `kubernetes`.
        security: the certificates of the cluster; a cluster that is started has its own without them.
        resources: how much of each resource each worker offers that is started.
        labels: what `runs_on` names, of each worker that is started.
        workers: how many workers are started.
        threads: how many attempts each of them runs at once.
        artifacts: whether all machines see the folders of a run, or files travel through the engine.
        ship_at_most: with `artifacts: ship`, how much is sent for an attempt, each way (bytes).
        lost_after: seconds of silence after which a worker and its attempts are lost.
        connect_within: seconds in which the scheduler, and a first worker, must answer.
    """

    address: str = ""
    cluster: ClusterKind | None = None
    ssh: SshOptions | None = None
    slurm: SlurmOptions | None = None
    kubernetes: KubernetesOptions | None = None
    security: TlsFiles | None = None
    resources: dict[str, Amount] = {}
    labels: list[str] = []
    workers: Count = 2
    threads: Count = 4
    artifacts: Literal["shared", "ship"] = "shared"
    ship_at_most: Annotated[int, Meta(ge=1)] = 64 * 2**20
    lost_after: Annotated[Duration, Meta(ge=5)] = 30.0
    connect_within: Seconds = 60.0

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _check_labels(self.labels)
        if self.address and self.cluster is not None:
            raise ValueError("address names a cluster that runs, cluster one to start: write one of them")
        if self.address:
            _check_address(self.address, has_certificates=self.security is not None)
        if self.address and (self.resources or self.labels):
            raise ValueError(
                "resources and labels are those of workers that are started here; "
                "those of a cluster that runs are started with theirs: aetherflow worker --resource, --label"
            )
        given = {"ssh": self.ssh, "slurm": self.slurm, "kubernetes": self.kubernetes}
        if self.cluster in given and given[self.cluster] is None:
            raise ValueError(f"cluster: {self.cluster} needs its options: {self.cluster}: {{...}}")
        for kind, options in given.items():
            if options is not None and self.cluster != kind:
                raise ValueError(f"the options {kind} are those of cluster: {kind}")
        if self.cluster in ("local", None) and self.security and not self.address:
            raise ValueError("a cluster local has its own certificates: leave security out")
        if self.cluster == "kubernetes" and self.security:
            raise ValueError("a cluster kubernetes has no certificates: leave security out")


def _check_labels(labels: Collection[str]) -> None:
    """Refuse what looks like several labels, or has spaces around it."""
    for label in labels:
        if "," in label or not label or label != label.strip():
            raise ValueError(
                f"a label is a name as runs_on has it, and {label!r} is none: labels: [big, fast]"
            )


def _check_address(address: str, *, has_certificates: bool) -> None:
    """Refuse an address that no scheduler can have, or that cannot be used without certificates."""
    protocol, separator, place = address.partition("://")
    host, _, port = place.rstrip("/").rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) <= MOST_PORT:
        raise ValueError(f"address must be like tcp://HOST:8786, not {address!r}")
    if protocol not in PROTOCOLS:
        raise ValueError(f"address must begin with tcp:// or tls://, as {address!r} does not")
    if protocol in ("tls", "wss") and not has_certificates:
        raise ValueError(f"{address} is encrypted and needs security: {{ca: FILE, cert: FILE, key: FILE}}")
