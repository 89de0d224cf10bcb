"""Values are data: whatever they hold, they reach a program's argv as given and are never rendered again."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine
from tests.torture.processes import seed

pytestmark = pytest.mark.torture

VALUES = 10_000
JOBS = 10
PIECES = (
    *("{{", "}}", "{{env.HOME}}", "{{params.p0}}", "{{", "{{run_id:x}}", "{", "}", "{}", "{0}", "{% if x %}"),
    *(
        "${",
        "${HOME}",
        "$HOME",
        "$(",
        "$(id)",
        "$((1+1))",
        "`id`",
        "%",
        "%s",
        "%(x)s",
        "%d%%",
        "!!python/object",
    ),
    *(
        "'",
        '"',
        "'\"'",
        "\\",
        "\\n",
        "\\u0041",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "*",
        "~",
        "?",
        "[a]",
        ";",
        "|",
    ),
    *("&", "&&", "<", ">", "#", "!", ":", "=", ",", "--", "-", "@", "ü", "😀", "\u2028", "\x7f", "\x1b[31m"),
    *("null", "true", "0", "1e3", "a", "Z", "word"),
)
WRITE = "import os, sys; open(sys.argv[1], 'wb').write(b'\\0'.join(map(os.fsencode, sys.argv[2:])) + b'\\0')"


def values(chance: random.Random, count: int) -> dict[str, str]:
    """Return so many values, by name; none is empty, since an empty text asks for a default."""
    return {f"v{n}": "".join(chance.choices(PIECES, k=chance.randrange(1, 9))) for n in range(count)}


def flow_of(batches: list[dict[str, str]], folder: Path) -> str:
    """Return a flow (JSON is YAML), two jobs a batch: from the parameters, and from the first's outputs."""
    jobs = []
    for number, batch in enumerate(batches):
        for name, source in (
            (f"a{number}", f"params.p{number}"),
            (f"b{number}", f"jobs.a{number}.outputs.all"),
        ):
            args = [
                f"{{{{{source}.{key}}}}}" if n % 2 else f"<{{{{{source}.{key}}}}}>"
                for n, key in enumerate(batch)
            ]
            step = {
                "id": "write",
                "type": "external.process",
                "inputs": {
                    "command": [sys.executable, "-I", "-S", "-c", WRITE, str(folder / name)],
                    "args": args,
                },
                "outputs": {"all": f"{{{{params.p{number}}}}}"},
            }
            jobs.append({"id": name, "steps": [step]})
    params = {f"p{number}": {"type": "json"} for number in range(len(batches))}
    return json.dumps({"version": 1, "flow": {"id": "values", "params": params}, "jobs": jobs})


def test_ten_thousand_values_are_rendered_as_given_and_reach_argv_byte_for_byte(
    cli: CommandLine, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - repeatable, keeps no secret
    batches = [values(chance, VALUES // JOBS) for _ in range(JOBS)]
    cli.write("flow.yaml", flow_of(batches, cli.folder))
    params = [word for n, batch in enumerate(batches) for word in ("--param", f"p{n}={json.dumps(batch)}")]

    result = cli.run("run", "flow.yaml", "--run-id", "r", *params)

    code, said = result.code, result.err[-4000:]
    assert code == 0, said
    for n, batch in enumerate(batches):
        given = [text if place % 2 else f"<{text}>" for place, text in enumerate(batch.values())]
        for name in (f"a{n}", f"b{n}"):
            received = (cli.folder / name).read_bytes().decode().split("\0")[:-1]
            assert received == given, f"seed {number}: {name}"
        (stored,) = cli.query(f"SELECT outputs FROM job_state WHERE job_id = 'a{n}'")
        assert json.loads(stored[0]) == {"all": batch}, f"seed {number}"
    special = sum(
        any(mark in text for mark in ("{{", "${", "$(", "%", "'", '"'))
        for b in batches
        for text in b.values()
    )
    record_property(
        "torture",
        f"values, seed {number}: {VALUES} rendered as given, twice, "
        f"{special} with special marks, argv identical",
    )
