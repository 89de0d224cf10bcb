"""Secrets of every kind with the real command: numbers, JSON, queries, DSNs; and gates that read a mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import CommandLine, Result

NUMBER, FLOAT = 8675309417, 48151.6234275
WORDS = ("canary-query-7", "canary-dsn-8", "canary-header-9", "canary-option-5")
NEEDLES = (str(NUMBER), "48151.6234275", *WORDS)

PLUGIN = """
from aetherflow import step


@step("count")
def count(context, inputs):
    pin = inputs["access_token"]
    return {"n": pin, "float": inputs["key_token"], "list": [pin, {"deep": pin}], str(pin): "key",
            "json": '{"n": %d}' % pin, "text": f"is {pin}"}


@step("fail")
def fail(context, inputs):
    raise ValueError(f"no row {inputs['n']} in {inputs['where']}")
"""


def job(name: str, step_type: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a job with one step; `outputs` are those of the step, `when` and `for_each` those of the job."""
    of_step = {key: more.pop(key) for key in ("outputs",) if key in more}
    return {"id": name, "steps": [{"id": "s", "type": step_type, "inputs": inputs, **of_step}], **more}


def one(item: str = "x") -> dict[str, Any]:
    """Return the inputs of a `check_items` that succeeds."""
    return {"items": [item]}


COMMAND = [
    *("sh", "-c", 'echo "canary-query-7 $2"; echo "$4 canary-header-9" >&2; exit 3', "sh"),
    *("https://h.example/x?access_token=canary-query-7", "--password", "canary-option-5"),
    *("-H", "Authorization: Bearer canary-header-9", "host=h password=canary-dsn-8"),
]
PARAMS = {
    "access_token": {"type": "int", "required": True},
    "key_token": {"type": "float", "default": FLOAT},
}
FLOW = {
    "version": 1,
    "flow": {"id": "f", "params": PARAMS},
    "resources": {
        "db": {"kind": "db", "driver": "sqlite3", "config": {"path": "/nowhere/x.db?password=canary-query-7"}}
    },
    "jobs": [
        job(
            "a",
            "count",
            {name: f"{{{{params.{name}}}}}" for name in PARAMS},
            outputs={"n": "{{result.n}}", "json": "{{result.json}}", "all": "{{result.list}}"},
        ),
        job("gate", "check_items", one(), when=f"jobs.a.outputs.n == {NUMBER}"),
        job("error", "fail", {"n": "{{params.access_token}}", "where": "host=h password=canary-dsn-8"}),
        job("command", "external.process", {"command": COMMAND}),
        job("items", "check_items", one("{{item}}"), for_each=["canary-query-7", "b"]),
        job("open", "db_extract", {"resource": "db", "sql": "select 1", "output": "x.tsv"}),
    ],
}


@pytest.fixture
def flow(cli: CommandLine) -> Path:
    """A flow with secrets of every kind; most of its jobs fail."""
    cli.write("plugins/kinds.py", PLUGIN)
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = "plugins"
    return cli.write("flow.yaml", json.dumps(FLOW))


def found(cli: CommandLine, results: dict[str, Result]) -> list[str]:
    """Return the secrets that are printed or stored, with their place."""
    texts = {name: (result.out + result.err).encode() for name, result in results.items()}
    files = (
        path
        for path in cli.folder.rglob("*")
        if path.is_file() and path.name not in ("flow.yaml", "flow.json")
    )
    texts |= {str(path): path.read_bytes() for path in files}
    return [
        f"{needle} in {name}" for name, text in texts.items() for needle in NEEDLES if needle.encode() in text
    ]


def test_secrets_of_every_kind_are_nowhere_to_be_found(cli: CommandLine, flow: Path) -> None:
    given = ("--param", f"access_token={NUMBER}")
    results = {
        "first": cli.run("run", str(flow), "--run-id", "r", *given, "--events", "e.jsonl", "--debug"),
        "again": cli.run("runs", "retry", "r", *given, "--log-format", "json"),
        "bad": cli.run("run", str(flow), "--param", f"access_token={NUMBER}x"),
    }
    for words in (
        "runs show r",
        "runs show r --json",
        "logs r",
        "explain flow.yaml",
        "explain flow.yaml --json",
    ):
        results[words] = cli.run(*words.split())
    for words in ("doctor flow.yaml --connect", "validate flow.yaml"):
        results[words] = cli.run(*words.split())
    assert [result.code for result in results.values()][:3] == [1, 1, 2], results["first"].err
    assert "AF000" not in results["first"].err
    assert found(cli, results) == []
    for name in ("first", "again", "runs show r", "explain flow.yaml"):
        assert "***" in results[name].out + results[name].err, name


def test_a_gate_that_reads_a_masked_output_is_reported_once(cli: CommandLine, flow: Path) -> None:
    result = cli.run("run", str(flow), "--run-id", "r", "--param", f"access_token={NUMBER}")
    lines = [line for line in result.err.splitlines() if "AF750" in line or "is masked, as" in line]
    assert sum("the output 'n'" in line for line in lines) == 1, result.err
    why = "is masked, as it is or holds a secret: the condition (when) of job gate gets"
    assert f"step a.s {why}" in result.err
    assert "items of job items are masked" in result.err
    assert str(NUMBER) not in result.err
    assert "'text'" not in "".join(lines), "nothing reads it"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PASSWORD_MIN_LENGTH", "12"),
        ("REQUIRE_PASSWORD", "true"),
        ("MAX_TOKENS", "4096"),
        ("DB_PASSWORD", "12"),
    ],
)
def test_a_harmless_setting_closes_no_gate(cli: CommandLine, variable: str, value: str) -> None:
    cli.env[variable] = value
    printing = {"command": ["printf", "%s", value], "log": {"stdout": "capture"}}
    jobs = [
        job("a", "external.process", printing, outputs={"n": "{{result.stdout}}"}),
        job("b", "check_items", one(), when=f"jobs.a.outputs.n == {json.dumps(value)}"),
    ]
    cli.write("flow.yaml", json.dumps({"version": 1, "flow": {"id": "f"}, "jobs": jobs}))
    result = cli.run("run", "flow.yaml")
    assert (result.code, "2 SUCCESS" in result.err) == (0, True), result.err
