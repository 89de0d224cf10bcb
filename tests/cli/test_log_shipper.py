"""A log shipper reads the event stream of a real run: rsyslog, configured as the manual does it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aetherflow.manual.pages import page
from aetherflow.observe.event_record import MOST_BYTES
from tests.cli.command_line import CommandLine
from tests.polling import wait_until

HOSTILE = r"""
import json, sys
print(json.dumps({
    "words": "Grüße 漢字 \U0001f600 \u2028 \u0085 \x7f", "controls": "\x1b[31mred\x1b[0m \a\b\f\r\n\t\\\"",
    "quoted": "{\"seq\": 7} @cee: {}", "cut_at_nul": "before\0after", "": "no name",
    "a.b!c$d": [[], {}, None, True, 0.1, 1e300], "largest": 2**63 - 1, "beyond": 2**80,
    "deep": {"a": {"b": ["ü"]}}, "long": "x" * 25_000,
}))
sys.stderr.write("long " + "ü" * 100_000 + "\n")
sys.stderr.buffer.write(b"no utf-8: \xff\xfe \x00 end\n")
sys.stderr.buffer.write(b"10 %\r50 %\r100 %\n")
"""
FLOW = """
version: 1
flow: {id: hostile}
jobs:
- id: a
  steps:
  - id: talks
    type: external.process
    inputs: {command: [python3, FOLDER/hostile.py], parse: json}
- id: b
  depends_on: [a]
  for_each: ["ö", "line\\nbreak"]
  steps:
  - {id: fails, type: external.process, inputs: {command: [sh, -c, "echo $0 >&2; exit 3", "{{item}}"]}}
"""


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="no rsyslogd here: apt-get install rsyslog")
def test_rsyslog_reads_every_record_of_a_run_field_by_field(cli: CommandLine) -> None:
    cli.write("hostile.py", HOSTILE)
    cli.write("flow.yaml", FLOW.replace("FOLDER", str(cli.folder)))
    (cli.folder / "log").mkdir()
    result = cli.run("run", "flow.yaml", "--debug", "--events", "log/events.jsonl")
    lines = (cli.folder / "log/events.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    assert result.code == 1, result
    assert [record["event"] for record in (records[0], records[-1])] == ["run_started", "run_summary"]
    assert any("cut" in record for record in records)
    assert MOST_BYTES * 3 // 4 < max(map(len, lines)) <= MOST_BYTES

    shipped = through_rsyslog(cli.folder, len(records))

    assert shipped == [as_rsyslog_reads(record) for record in records]
    (outputs,) = [
        one["outputs"]["parsed"] for one in shipped if one.get("step_id") == "talks" and "outputs" in one
    ]
    assert outputs["beyond"] == 2**63 - 1
    assert outputs["cut_at_nul"] == "before"


def through_rsyslog(folder: Path, count: int) -> list[dict[str, Any]]:
    """Return the records that rsyslog makes of the files in `log`, which have so many lines."""
    config = page("events").partition("\n## For log tools\n")[2].partition("```text\nglobal(")[2]
    config = "global(" + config.partition("```")[0]
    (folder / "work").mkdir()
    paths = {
        "/var/lib/aetherflow-log": folder / "work",
        "/var/log/aetherflow/": f"{folder / 'log'}/",
        "/var/log/": f"{folder}/",
    }
    for usual, own in paths.items():
        assert usual in config
        config = config.replace(usual, str(own))
    (folder / "rsyslog.conf").write_text(config, encoding="utf-8")
    output, rest = folder / "aetherflow-records.jsonl", folder / "aetherflow-rest.log"
    files = ("-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslog.pid"))
    with subprocess.Popen(
        ["rsyslogd", "-n", *files], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as shipper:
        try:
            wait_until(
                lambda: (output.exists() and output.read_bytes().count(b"\n") >= count) or rest.exists(),
                "rsyslog wrote fewer records",
            )
        finally:
            shipper.terminate()
    assert not rest.exists(), rest.read_text(encoding="utf-8")
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def as_rsyslog_reads(value: Any) -> Any:
    """Return a value with the limits that the manual names: 64 bits, and no text behind a NUL."""
    match value:
        case dict():
            return {as_rsyslog_reads(key): as_rsyslog_reads(one) for key, one in value.items()}
        case list():
            return [as_rsyslog_reads(one) for one in value]
        case int() if not isinstance(value, bool):
            return min(max(value, -(2**63)), 2**63 - 1)
        case str():
            return value.partition("\0")[0]
        case _:
            return value
