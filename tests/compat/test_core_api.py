"""The names of `aetherflow.core.api`, alone."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from aetherflow import StepError
from aetherflow.compat import api

WANTED = [
    "register_step",
    "register_connector",
    "Step",
    "StepResult",
    "STEP_SUCCESS",
    "STEP_SKIPPED",
    "ConnectorBase",
    "ConnectorInit",
    "RunContext",
    "RemoteFileMeta",
    "require",
    "list_steps",
    "list_connectors",
    "get_step",
    "get_connector",
    "require_attr",
    "ConnectorError",
    "Settings",
    "new_run_id",
]


def test_all_names_are_there_and_no_other() -> None:
    assert sorted(api.__all__) == sorted(WANTED)
    assert all(hasattr(api, name) for name in WANTED)


def test_require_imports_a_module_or_an_attribute() -> None:
    assert api.require("json") is json
    assert api.require("json:dumps") is json.dumps
    assert api.require_attr("os.path", "join")("a", "b") == "a/b"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("not_there.deep", "not_there.deep is needed, and cannot be imported: No module named 'not_there'; "),
        ("not_there:x", "not_there:x is needed, and cannot be imported: "),
        ("json:nothing", "json:nothing is needed, and json has no 'nothing'"),
    ],
)
def test_what_require_cannot_import_is_named(spec: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(message)):
        api.require(spec)


def test_a_registered_class_is_found_by_its_name_and_may_be_given_at_once() -> None:
    class Made(api.Step):
        def run(self) -> None: ...

    assert api.register_step("test_core_api.made", Made) is Made
    assert api.register_connector("test_core_api", "made", api.ConnectorBase) is api.ConnectorBase
    assert api.get_step("test_core_api.made") is Made
    assert api.get_connector("test_core_api", "made") is api.ConnectorBase
    assert {"test_core_api.made", "check_items"} <= set(api.list_steps())
    assert {"test_core_api:made", "db:sqlite3"} <= set(api.list_connectors())
    with pytest.raises(KeyError, match="nobody"):
        api.get_step("nobody")


def test_a_result_merges_its_outputs_and_its_reason() -> None:
    assert api.StepResult().as_output() == {}
    assert api.StepResult(output={"a": 1}, reason="why").as_output() == {"a": 1, "reason": "why"}
    assert api.StepResult(outputs={"reason": "mine"}, reason="why").as_output() == {"reason": "mine"}


def test_a_connector_is_a_context_manager_that_closes_it() -> None:
    closed: list[str] = []

    class Made(api.ConnectorBase):
        def close(self) -> None:
            closed.append(self.name)

    with Made(api.ConnectorInit("r", "k", "d", {"a": 1}, {})) as made:
        assert (made.kind, made.driver, made.config, made.options, made.ctx) == ("k", "d", {"a": 1}, {}, None)
    assert closed == ["r"]


def test_a_connector_error_is_reported_as_a_step_error_and_caught_as_a_runtime_error() -> None:
    error = api.ConnectorError("login", "refused")

    assert isinstance(error, StepError)
    assert isinstance(error, RuntimeError)
    assert (error.message, error.kind, str(error)) == ("login refused", "connection", "login refused")


def test_meta_of_a_remote_file_can_be_replaced() -> None:
    meta = api.RemoteFileMeta(path="a/b", size=3)

    assert dataclasses.replace(meta, name="b") == api.RemoteFileMeta(path="a/b", size=3, name="b")


def test_settings_come_from_an_environment() -> None:
    settings = api.Settings.from_env({"AETHERFLOW_LOG_LEVEL": "DEBUG", "OTHER": "x"}, {"work_root": "/w"})

    assert (settings.log_level, settings.log_format, settings.work_root) == ("DEBUG", "text", "/w")


def test_a_new_run_id_is_twelve_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{12}", api.new_run_id())
    assert api.new_run_id() != api.new_run_id()
