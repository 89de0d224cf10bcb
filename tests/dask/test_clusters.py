"""Clusters that are started: their scheduler, the jobs for Slurm, the resource for Kubernetes."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_dask.certificates import temporary
from aetherflow_dask.child import SchedulerRole
from aetherflow_dask.clusters import slurm
from aetherflow_dask.clusters.kubernetes import cluster_spec, kubernetes_cluster
from aetherflow_dask.clusters.options import KubernetesOptions, SlurmOptions
from aetherflow_dask.clusters.scheduler import own_scheduler
from aetherflow_dask.clusters.slurm import JobOrder, _security, slurm_cluster, slurm_job
from aetherflow_dask.clusters.worker_command import WorkerCommand, said_by_worker
from distributed.core import rpc

from aetherflow import AetherFlowError, ConfigError, ExecutorError, MissingExtra, TlsFiles
from tests.polling import wait_until

WORKERS = WorkerCommand(threads=3, labels=("big one", "fast"), resources={"SFTP": 2, "GPU": 0.5})
PATHS = TlsFiles(ca="/shared/ca.pem", cert="/shared/cert.pem", key="/shared/key.pem")


def in_loop(work: Callable[[], Any]) -> Any:
    return anyio.run(work)


def code_of(work: Callable[[], Any], kind: type[AetherFlowError]) -> tuple[str, str]:
    """Return the code and the message of the error that a function leads to."""
    with pytest.raises(kind) as caught:
        anyio.run(work)
    return caught.value.code, caught.value.message


def nobody_listens(address: str) -> bool:
    host, port = address.partition("://")[2].split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return True
    return False


def test_the_scheduler_wants_a_certificate_and_ends_with_its_block() -> None:
    async def work() -> str:
        tls = temporary()
        async with own_scheduler(SchedulerRole(tls)) as address:
            arguments = _security(tls).get_connection_args("worker")  # type: ignore[no-untyped-call]
            async with rpc(address, connection_args=arguments) as ours:  # type: ignore[no-untyped-call]
                assert (await ours.identity())["type"] == "Scheduler"
            strange = _security(temporary()).get_connection_args("worker")  # type: ignore[no-untyped-call]
            async with rpc(address, connection_args=strange, timeout=5) as other:  # type: ignore[no-untyped-call]
                with pytest.raises(OSError, match="before comm was established"):
                    await other.identity()
            return address

    address: str = in_loop(work)

    assert address.startswith("tls://127.0.0.1:")
    wait_until(lambda: nobody_listens(address), "the scheduler lives on", 30)


def test_a_scheduler_whose_port_is_taken_is_told() -> None:
    async def work() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            async with own_scheduler(SchedulerRole(temporary(), port=taken.getsockname()[1])):
                pass

    assert code_of(work, ExecutorError) == ("AF833", "the scheduler of the cluster did not start")


def test_the_library_for_slurm_is_imported_in_a_thread_and_leaves_ctrl_c_to_the_engine() -> None:
    pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
    script = (
        "import signal, anyio\n"
        "from aetherflow import run_blocking\n"
        "from aetherflow_dask.clusters.slurm import _library\n"
        "before = signal.getsignal(signal.SIGINT), signal.signal\n"
        "assert anyio.run(run_blocking, _library).SLURMJob\n"
        "assert (signal.getsignal(signal.SIGINT), signal.signal) == before\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_what_a_worker_printed_is_told_from_what_others_printed() -> None:
    assert said_by_worker('{"level": "warning", "message": "the scheduler is silent", "x": 1}\n') == (
        "warning",
        "the scheduler is silent",
    )
    assert said_by_worker("bash: aetherflow: command not found\n") == (
        "info",
        "bash: aetherflow: command not found",
    )


class TestSlurm:
    OPTIONS = SlurmOptions(
        shared_folder="/shared",
        memory="4GB",
        cpus=2,
        queue="night",
        account="flows",
        walltime="04:00:00",
        directives=["--gres=gpu:1"],
        prologue=["module load python"],
        python="/opt/flows/bin/python",
        project="/shared/my flows",
    )

    def test_the_job_is_a_worker_of_aetherflow(self) -> None:
        pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
        order = JobOrder(
            name="aetherflow-1",
            address="tls://10.0.0.1:8786",
            tls=PATHS,
            options=self.OPTIONS,
            workers=WORKERS,
        )

        script = slurm_job(order).job_script()

        *head, command = script.rstrip().splitlines()
        assert head[0] == "#!/usr/bin/env bash"
        assert {line for line in head if line.startswith("#SBATCH")} == {
            "#SBATCH -J aetherflow-1",
            "#SBATCH -p night",
            "#SBATCH -A flows",
            "#SBATCH -n 1",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --mem=4G",
            "#SBATCH -t 04:00:00",
            "#SBATCH --gres=gpu:1",
        }
        assert "module load python" in head
        assert command == (
            "/opt/flows/bin/python -m aetherflow worker tls://10.0.0.1:8786 --name aetherflow-1 --nthreads 3"
            " --memory-limit 3.73GiB --death-timeout 60 --project '/shared/my flows'"
            " --lost-after 30s --label 'big one' --label fast --resource SFTP=2 --resource GPU=0.5"
            " --tls-ca-file /shared/ca.pem --tls-cert /shared/cert.pem --tls-key /shared/key.pem"
        )

    def test_a_machine_without_slurm_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        async def work() -> None:
            async with slurm_cluster(self.OPTIONS, 1, WORKERS, None, print):
                pass

        assert code_of(work, ConfigError) == ("AF835", "cluster: slurm: there is no program sbatch here")

    def test_jobs_are_submitted_and_cancelled(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
        program(tmp_path, "sbatch", f'cp "$1" {tmp_path}/script; echo "Submitted batch job 4$(date +%N)"')
        program(tmp_path, "scancel", f"echo $1 >> {tmp_path}/cancelled")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        options = SlurmOptions(shared_folder=str(tmp_path / "shared"), scheduler_host="127.0.0.1")
        said: list[str] = []

        async def work() -> None:
            async with slurm_cluster(options, 2, WORKERS, None, lambda _, text: said.append(text)) as (
                address,
                _,
            ):
                script = await anyio.Path(tmp_path / "script").read_text()
                assert f" worker tls://127.0.0.1:{address.rpartition(':')[2]} " in script
                for_this_user_only(Path(script.partition("--tls-key ")[2].split()[0]))

        in_loop(work)

        jobs = [text.rpartition(" ")[2] for text in said]
        assert len(set(jobs)) == 2
        assert (tmp_path / "cancelled").read_text().split() == jobs
        assert list((tmp_path / "shared").iterdir()) == []

    def test_a_job_that_slurm_refuses_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
        program(tmp_path, "sbatch", "echo 'sbatch: error: invalid partition specified: nigth' >&2; exit 1")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        options = SlurmOptions(shared_folder=str(tmp_path / "shared"), scheduler_host="127.0.0.1")

        async def work() -> None:
            async with slurm_cluster(options, 1, WORKERS, None, print):
                pass

        code, message = code_of(work, ExecutorError)
        assert code == "AF836"
        assert message.endswith("sbatch: error: invalid partition specified: nigth")

    def test_a_folder_that_cannot_be_written_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
        program(tmp_path, "sbatch", "exit 1")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        options = SlurmOptions(shared_folder=str(tmp_path / "sbatch" / "in"), scheduler_host="127.0.0.1")

        async def work() -> None:
            async with slurm_cluster(options, 1, WORKERS, None, print):
                pass

        assert code_of(work, ConfigError)[0] == "AF835"

    def test_a_shared_folder_that_is_slow_keeps_no_other_run_waiting(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")
        program(tmp_path, "sbatch", "exit 1")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        options = SlurmOptions(shared_folder=str(tmp_path / "shared"), scheduler_host="127.0.0.1")
        writes, goes_on = threading.Event(), threading.Event()
        write = slurm._written

        def slow(tls: TlsFiles, folder: Path) -> Any:
            writes.set()
            assert goes_on.wait(60)
            return write(tls, folder)

        monkeypatch.setattr(slurm, "_written", slow)

        async def submit() -> None:
            with pytest.raises(ExecutorError):
                async with slurm_cluster(options, 1, WORKERS, None, print):
                    pass

        async def work() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(submit)
                while not writes.is_set():  # noqa: ASYNC110 - another thread sets it
                    await anyio.sleep(0.01)
                goes_on.set()

        in_loop(work)
        assert list((tmp_path / "shared").iterdir()) == []

    def test_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(slurm, "import_module", missing)
        order = JobOrder(name="a", address="tcp://a:1", tls=PATHS, options=self.OPTIONS, workers=WORKERS)

        with pytest.raises(MissingExtra) as caught:
            slurm_job(order)

        assert caught.value.hint == "pip install 'aetherflow[slurm]'"


class TestKubernetes:
    OPTIONS = KubernetesOptions(
        image="registry.example.org/flows:1",
        name="night",
        requests={"memory": "2Gi"},
        env={"TEAM": "ops"},
        env_from_secrets=["flows"],
        volumes=[{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
        volume_mounts=[{"name": "runs", "mountPath": "/runs"}],
        project="/flows",
    )

    def test_the_pods_are_workers_of_aetherflow(self) -> None:
        pytest.importorskip("dask_kubernetes", reason="the package dask-kubernetes is not installed")

        spec = cluster_spec(self.OPTIONS, 5, WORKERS)

        assert (spec["kind"], spec["metadata"]) == ("DaskCluster", {"name": "night"})
        worker = spec["spec"]["worker"]
        assert worker["replicas"] == 5
        assert worker["spec"]["volumes"] == self.OPTIONS.volumes
        (container,) = worker["spec"]["containers"]
        assert " ".join(container["args"]) == (
            "aetherflow worker --name $(DASK_WORKER_NAME) --threads 3 --project /flows --lost-after 30s"
            " --label big one --label fast --resource SFTP=2 --resource GPU=0.5"
        )
        assert container["image"] == "registry.example.org/flows:1"
        assert container["resources"] == {"requests": {"memory": "2Gi"}}
        assert container["env"] == [{"name": "TEAM", "value": "ops"}]
        assert container["envFrom"] == [{"secretRef": {"name": "flows"}}]
        (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
        assert scheduler["args"][0] == "dask-scheduler"
        assert {"name": "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "value": "0"} in scheduler["env"]

    def test_a_cluster_without_a_name_gets_one_of_its_own(self) -> None:
        pytest.importorskip("dask_kubernetes", reason="the package dask-kubernetes is not installed")
        options = KubernetesOptions(image="x")

        names = {cluster_spec(options, 1, WORKERS)["metadata"]["name"] for _ in range(2)}

        assert len(names) == 2

    def test_a_machine_without_kubernetes_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        pytest.importorskip("dask_kubernetes", reason="the package dask-kubernetes is not installed")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))

        async def work() -> None:
            async with kubernetes_cluster(self.OPTIONS, 1, WORKERS, 5, print):
                pass

        code, message = code_of(work, ExecutorError)
        assert code == "AF837"
        assert message.startswith("Kubernetes does not make the cluster night: ")

    def test_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aetherflow_dask.clusters.kubernetes.import_module", missing)

        with pytest.raises(MissingExtra) as caught:
            cluster_spec(self.OPTIONS, 1, WORKERS)

        assert caught.value.hint == "pip install 'aetherflow[kubernetes]'"


def for_this_user_only(key: Path) -> None:
    """Check that this is a private key which no other user can read."""
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def program(folder: Path, name: str, script: str) -> None:
    """Write a program into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def missing(name: str) -> Any:
    raise ModuleNotFoundError(name=name.partition(".")[0])
