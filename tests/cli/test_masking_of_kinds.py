"""Secrets of every kind with the real command: numbers, JSON, queries, DSNs, headers; and gates that read a mask."""

from __future__ import annotations

import json
from pathlib import Path

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

FLOW = {
    "version": 1,
    "flow": {
        "id": "f",
        "params": {"access_token": {"type": "int", "required": True}, "key_token": {"type": "float", "default": FLOAT}},
    },
    "resources": {
        "db": {"kind": "db", "driver": "sqlite3", "config": {"path": "/nowhere/x.db?password=canary-query-7"}}
    },
    "jobs": [
        {
            "id": "a",
            "steps": [
                {
                    "id": "s",
                    "type": "count",
                    "inputs": {"access_token": "{{params.access_token}}", "key_token": "{{params.key_token}}"},
                    "outputs": {"n": "{{result.n}}", "json": "{{result.json}}", "all": "{{result.list}}"},
                }
            ],
        },
        {"id": "gate", "when": "jobs.a.outputs.n == 8675309417", "steps": [{"id": "s", "type": "check_items", "inputs": {"items": ["x"]}}]},
        {
            "id": "error",
            "steps": [
                {"id": "s", "type": "fail", "inputs": {"n": "{{params.access_token}}", "where": "host=h password=canary-dsn-8"}}
            ],
        },
        {
            "id": "command",
            "steps": [
                {
                    "id": "s",
                    "type": "external.process",
                    "inputs": {
                        "command": [
                            "sh", "-c", 'echo "canary-query-7 $2"; echo "$4 canary-header-9" >&2; exit 3', "sh",
                            "https://h.example/x?access_token=canary-query-7", "--password", "canary-option-5",
                            "-H", "Authorization: Bearer canary-header-9", "host=h password=canary-dsn-8",
                        ]
                    },
                }
            ],
        },
        {"id": "items", "for_each": ["canary-query-7", "b"], "steps": [{"id": "s", "type": "check_items", "inputs": {"items": ["{{item}}"]}}]},
        {"id": "open", "steps": [{"id": "s", "type": "db_extract", "inputs": {"resource": "db", "sql": "select 1", "output": "x.tsv"}}]},
    ],
}  # fmt: skip


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
    for words in (("runs", "show", "r"), ("runs", "show", "r", "--json"), ("logs", "r"), ("explain", str(flow)),
                  ("explain", str(flow), "--json"), ("doctor", str(flow), "--connect"), ("validate", str(flow))):  # fmt: skip
        results[" ".join(words)] = cli.run(*words)
    assert [result.code for result in results.values()][:3] == [1, 1, 2], results["first"].err
    assert "AF000" not in results["first"].err
    assert found(cli, results) == []
    for name in ("first", "again", "runs show r", f"explain {flow}"):
        assert "***" in results[name].out + results[name].err, name


def test_a_gate_that_reads_a_masked_output_is_reported_once(cli: CommandLine, flow: Path) -> None:
    result = cli.run("run", str(flow), "--run-id", "r", "--param", f"access_token={NUMBER}")
    lines = [line for line in result.err.splitlines() if "AF750" in line or "is masked, as" in line]
    assert sum("'n'" in line for line in lines) == 1, result.err
    expected = "the output 'n' of step a.s is masked, as it is or holds a secret: the condition (when) of job gate gets"
    assert expected in result.err
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
    steps = [{"id": "s", "type": "external.process", "inputs": {"command": ["printf", "%s", value], "log": {"stdout": "capture"}}, "outputs": {"n": "{{result.stdout}}"}}]  # fmt: skip
    jobs = [
        {"id": "a", "steps": steps},
        {"id": "b", "when": f"jobs.a.outputs.n == {json.dumps(value)}", "steps": [{"id": "s", "type": "check_items", "inputs": {"items": ["x"]}}]},
    ]  # fmt: skip
    cli.write("flow.yaml", json.dumps({"version": 1, "flow": {"id": "f"}, "jobs": jobs}))
    result = cli.run("run", "flow.yaml")
    assert (result.code, "2 SUCCESS" in result.err) == (0, True), result.err
