from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.config import metrics_module
from aetherflow.config.metrics_module import load_metrics
from aetherflow.errors import ConfigError
from aetherflow.observe import metrics as observer


def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    """Write an importable module; each test takes a name of its own, because imports are kept."""
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("af_metrics_hook", "class _S:\n    def on_run_end(self, **given): ...\nMETRICS = _S()"),
        ("af_metrics_call", "def METRICS(event): ..."),
        (
            "af_metrics_both",
            "class _S:\n    on_job_end = print\n    def __call__(self, e): ...\nMETRICS = _S()",
        ),
    ],
)
def test_an_object_with_a_hook_and_a_function_are_sinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    sink: Any = load_metrics(module(tmp_path, monkeypatch, name, text))
    assert callable(sink) or callable(sink.on_run_end)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("af_metrics_none", "", "there is no `METRICS`"),
        (
            "af_metrics_class",
            "class METRICS:\n    def on_run_end(self): ...",
            "`METRICS` is the class METRICS",
        ),
        ("af_metrics_dict", "METRICS = {}", "`METRICS` has none of the hooks, and the dict cannot be called"),
        (
            "af_metrics_text",
            "class _S:\n    on_run_end = 'x'\nMETRICS = _S()",
            "`METRICS.on_run_end` is not a function",
        ),
        (
            "af_metrics_async_hook",
            "class _S:\n    async def on_step_end(self, **g): ...\nMETRICS = _S()",
            "`METRICS.on_step_end` is `async`",
        ),
        ("af_metrics_async", "async def METRICS(event): ...", "`METRICS` is `async`"),
        (
            "af_metrics_broken",
            "\nraise RuntimeError('canary')",
            ":2: loading this module failed: RuntimeError",
        ),
    ],
)
def test_what_can_hear_nothing_is_refused_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_metrics(module(tmp_path, monkeypatch, name, text))
    assert raised.value.code == "AF511"
    assert raised.value.message.startswith(str(tmp_path / f"{name}.py"))
    assert problem in raised.value.message
    assert raised.value.message.endswith("(AETHERFLOW_METRICS_MODULE)")
    assert "canary" not in raised.value.message


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="there is no module 'no_such_metrics'") as raised:
        load_metrics("no_such_metrics")
    assert raised.value.code == "AF511"


def test_the_loader_and_the_observer_mean_the_same_hooks() -> None:
    assert metrics_module.HOOKS == observer._HOOKS
