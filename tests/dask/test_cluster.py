"""The cluster of the tests: its workers connect, work, hang, die, lose their network and come back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from distributed import Client

from tests.dask.cluster import Cluster
from tests.polling import wait_until


def _sleeping_child() -> tuple[int, int]:
    child = subprocess.Popen(["sleep", "600"])
    return os.getpid(), child.pid


@pytest.mark.asyncio
async def test_a_worker_hangs_loses_its_network_and_dies(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        near = cluster.start_worker("near", plain=True, wait=False)
        far = cluster.start_worker("far", plain=True, network=True)
        cluster.wait_for(["near", "far"])
        async with Client(cluster.address, asynchronous=True) as client:  # type: ignore[no-untyped-call]  # of Dask
            pids = await client.submit(_sleeping_child, workers=["near"], pure=False)
            assert pids[0] == near.pid
            assert cluster.left() == {pids[1]}
            far.hang()
            assert await client.submit(os.getpid, workers=["near"], pure=False) == near.pid
            far.wake()
            before = far.network.passed
            assert await client.submit(os.getpid, workers=["far"], pure=False) == far.pid
            assert far.network.passed > before
            far.network.unplug()
            cluster.wait_until_gone("far")  # it may end by itself then: what it had started would live on
            near.kill_tree()
            cluster.wait_until_gone("near")
        wait_until(lambda: not cluster.left(), "the child lives")
