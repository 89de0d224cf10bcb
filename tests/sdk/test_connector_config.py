"""The typed config and options of a resource: converted as flows write them, errors with their place."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from aetherflow import ConfigError, Resource


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 1


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeout: float = 30
    verify: bool = True
    pool: Pool = Pool()
    names: list[str] = []


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    port: int = 22


def resource(config: dict[str, Any] | None = None, options: dict[str, Any] | None = None) -> Resource:
    return Resource("drop", "sftp", "asyncssh", config or {}, options or {})


def test_numbers_and_booleans_may_be_text_as_templates_give_them() -> None:
    found = resource({"host": "h", "port": "2222"}, {"timeout": "1.5", "verify": "false"})
    assert found.config_as(Config) == Config("h", 2222)
    assert found.options_as(Options) == Options(timeout=1.5, verify=False)


def test_a_text_may_be_a_number_or_truth_which_is_written_as_json() -> None:
    assert resource({"host": 1.5}).config_as(Config).host == "1.5"
    assert resource(options={"names": [1, True]}).options_as(Options).names == ["1", "true"]


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"timeuot": 1}, "options: Object contains unknown field `timeuot`", "did you mean 'timeout'?"),
        (
            {"x": 1},
            "options: Object contains unknown field `x`",
            "its options may have: timeout, verify, pool",
        ),
        ({"pool": {"siz": 1}}, "options.pool: Object contains unknown field `siz`", "its options may have: "),
        (
            {"pool": {"size": "many"}},
            "options.pool.size: Expected `int`, got `str`",
            "its options may have: ",
        ),
        ({"names": ["a", [1]]}, "options.names[1]: Expected `str`, got `array`", "its options may have: "),
    ],
)
def test_an_error_names_the_resource_and_the_place(options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resource(options=options).options_as(Options)
    assert caught.value.message == f"resource 'drop' (sftp:asyncssh), {message}"
    assert caught.value.hint.startswith(hint)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config: Object missing required field `host`$"):
        resource({"port": 1}).config_as(Config)


def test_threads_may_convert_to_a_new_type_together() -> None:
    script = """
import sys, threading
from typing import Optional
import msgspec
from aetherflow import Resource
sys.setswitchinterval(1e-6)
for number in range(60):
    fields = [(f"f{i}", Optional[list[dict[str, int]]], None) for i in range(30)]
    inner = msgspec.defstruct("Inner", fields, frozen=True)
    shape = msgspec.defstruct("Shape", [(f"g{i}", inner, inner()) for i in range(30)], frozen=True)
    barrier = threading.Barrier(4)
    def convert():
        barrier.wait()
        Resource("r", "k", "d", {}).config_as(shape)
    threads = [threading.Thread(target=convert) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
