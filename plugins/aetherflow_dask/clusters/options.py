"""The options of the clusters that the executor starts on other machines. Imports nothing of Dask."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import OptionPath

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Text = Annotated[str, Meta(min_length=1)]

_WALLTIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}$")
_POD_NAME = re.compile(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?$")


class SshOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Workers that are started over SSH, one for each entry of `hosts`; the scheduler runs beside the engine.

    Attributes:
        hosts: where to start workers, as `HOST` or `USER@HOST:PORT`; with what `~/.ssh/config` says.
        user: whom to log in as, if an entry names nobody.
        key: the private key; default: those of `~/.ssh` and of the agent.
        known_hosts: the file with the keys of the hosts; default: `~/.ssh/known_hosts`.
        command: the command `aetherflow` on the hosts, with its path unless it is in the PATH of the login.
        project: the folder on the hosts with the project file; default: the home.
        scheduler_host: how the hosts reach this machine; default: the address that SSH goes out from.
        scheduler_port: the port of the scheduler, for a firewall; default: any.
    """

    hosts: Annotated[list[Text], Meta(min_length=1)]
    user: str = ""
    key: OptionPath = ""
    known_hosts: OptionPath = ""
    command: Text = "aetherflow"
    project: str = ""
    scheduler_host: str = ""
    scheduler_port: Port | None = None


class SlurmOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Workers that are jobs of Slurm, as many as `workers` says; the scheduler runs beside the engine.

    Attributes:
        shared_folder: a folder that the machines of the cluster see too, for the certificates of the workers.
        memory: how much memory a job gets.
        cpus: how many processors a job gets; default: as many as it has threads.
        queue: the partition.
        account: whom the time is counted for.
        walltime: how long a job may run, as `04:00:00` or `1-00:00:00`.
        directives: more options of sbatch, as `--gres=gpu:1`.
        prologue: lines of the shell before the worker starts, as `module load python`.
        python: the Python of the workers, which has AetherFlow; default: that of the engine.
        log_folder: where jobs write what they print; default: where Slurm does.
        project: the folder with the project file; default: that of the engine.
        scheduler_host: how the machines reach the engine's; default: its address by its name.
        scheduler_port: the port of the scheduler, for a firewall; default: any.
    """

    shared_folder: OptionPath
    memory: Text = "1GB"
    cpus: Positive | None = None
    queue: str = ""
    account: str = ""
    walltime: str = ""
    directives: list[Text] = []
    prologue: list[str] = []
    python: str = ""
    log_folder: OptionPath = ""
    project: str = ""
    scheduler_host: str = ""
    scheduler_port: Port | None = None

    def __post_init__(self) -> None:
        """Refuse a walltime that sbatch would refuse."""
        if self.walltime and not _WALLTIME.match(self.walltime):
            raise ValueError(f"walltime must be like 04:00:00 or 1-00:00:00, not {self.walltime!r}")


class KubernetesOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Pods of the operator of Dask, as many workers as `workers` says, with a scheduler of their own.

    Attributes:
        image: the container image of scheduler and workers; it has AetherFlow with the extra `dask`.
        namespace: where they are created; default: that of the current context.
        name: of the cluster, as its pods begin; default: one that nobody else has.
        requests: what a pod gets at least, as `{cpu: '1', memory: 2Gi}`.
        limits: what a pod gets at most.
        env: variables of scheduler and workers.
        env_from_secrets: Secrets whose entries are variables of the workers, for passwords.
        volumes: volumes of the pods of the workers, as Kubernetes writes them.
        volume_mounts: where a worker has them.
        project: the folder in the image with the project file; default: its working directory.
    """

    image: Text
    namespace: str = ""
    name: str = ""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    env: dict[str, str] = {}
    env_from_secrets: list[Text] = []
    volumes: list[dict[str, Any]] = []
    volume_mounts: list[dict[str, Any]] = []
    project: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that Kubernetes would refuse."""
        if self.name and not _POD_NAME.match(self.name):
            raise ValueError(f"name must be of small letters, digits and -, not {self.name!r}")
