"""The options of the executor `dask`, and what it says where Dask is not installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from aetherflow_dask import executor
from aetherflow_dask.executor import DaskExecutor
from aetherflow_dask.options import DaskOptions

from aetherflow import MissingExtra, WorkerRequest


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"address": "tcp://a:1", "cluster": "local"}, "write one of them"),
        ({"address": "scheduler:8786"}, "must be like tcp://HOST:8786, not 'scheduler:8786'"),
        ({"address": "tcp://a"}, "must be like tcp://HOST:8786, not 'tcp://a'"),
        ({"address": "tcp://a:x"}, "must be like tcp://HOST:8786, not 'tcp://a:x'"),
        ({"address": "tcp://a:99999"}, "must be like tcp://HOST:8786, not 'tcp://a:99999'"),
        ({"address": "tcp://:8786"}, "must be like tcp://HOST:8786, not 'tcp://:8786'"),
        ({"address": "http://a:1"}, "must begin with tcp:// or tls://, as 'http://a:1' does not"),
        ({"address": "tls://a:1"}, "tls://a:1 is encrypted and needs security: {ca"),
        ({"address": "tcp://a:1", "resources": {"SFTP": 1}}, "aetherflow worker --resource"),
        ({"address": "tcp://a:1", "labels": ["gpu"]}, "aetherflow worker --resource, --label"),
        ({"labels": ["big,fast"]}, "'big,fast' is none: labels: .big, fast."),
        ({"cluster": "ssh"}, "cluster: ssh needs its options: ssh: {...}"),
        ({"cluster": "ssh", "ssh": {"hosts": []}}, "Expected `array` of length >= 1"),
        ({"cluster": "local", "ssh": {"hosts": ["a"]}}, "the options ssh are those of cluster: ssh"),
        ({"ssh": {"hosts": ["a"]}}, "the options ssh are those of cluster: ssh"),
        ({"security": {"ca": "a", "cert": "b", "key": "c"}}, "a cluster local has its own certificates"),
        (
            {"cluster": "slurm", "slurm": {"shared_folder": "x", "walltime": "2 hours"}},
            "walltime must be like",
        ),
        (
            {"cluster": "kubernetes", "kubernetes": {"image": "x", "name": "A_b"}},
            "name must be of small letters",
        ),
        ({"workers": 0}, "workers"),
        ({"lost_after": 1}, "lost_after"),
    ],
)
def test_options_that_contradict_themselves_are_refused(written: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(written, DaskOptions)


def test_options_cost_no_import_of_dask() -> None:
    script = (
        "import sys, aetherflow_dask.executor\n"
        "assert 'aetherflow_dask.options' in sys.modules\n"
        "assert not {'distributed', 'dask', 'tornado'} & sys.modules.keys()\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["distributed", "cryptography"])
def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(executor, "find_spec", lambda name: None if name == missing else object())

    with pytest.raises(MissingExtra, match=missing) as caught:
        DaskExecutor().open(DaskOptions(), lambda *_: None)
    assert (caught.value.code, caught.value.hint) == ("AF888", "pip install 'aetherflow[dask]'")

    with pytest.raises(MissingExtra, match=missing):
        DaskExecutor().serve(WorkerRequest(), lambda *_: None)
