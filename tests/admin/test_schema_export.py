"""The JSON Schema and `validate` agree: on every flow of README, manual, demo and tests, and on bad ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.admin.schema_export import KINDS, schema_of
from aetherflow.errors import InvalidInput
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, parse_document
from aetherflow.spec.flow import FlowFile, ProfileSpec
from aetherflow.spec.load import load_profiles
from aetherflow.spec.manifest import ManifestFile
from aetherflow.spec.schedule import ScheduleFile
from aetherflow.spec.yaml_content import Content
from tests.cli.command_line import CommandLine
from tests.manual.documents import all_blocks
from tests.sizes import examples

ROOT = Path(__file__).parents[2]
OF_SHAPE = {"AF110", "AF111", "AF112", "AF113", "AF115", "AF116", "AF540", "AF543", "AF544", "AF545"}
NOT_OF_YAML = {"AF102", "AF103", "AF104", "AF105", "AF106", "AF107"}


@cache
def validator(kind: Any = "flow") -> Any:
    schema = schema_of(kind, {})
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def accepts(value: Any, kind: str = "flow") -> bool:
    return bool(validator(kind).is_valid(value))


def texts_of_flows() -> Iterator[tuple[str, str]]:
    """Yield every flow of the README, the manual and the demo, and every text of one in a test."""
    for page, block in all_blocks("yaml"):
        if "\nbundle:" not in block.text and "\nitems:" not in block.text and "version: 1" in block.text:
            yield f"{page} {block.file}", block.text
    for path in sorted((ROOT / "demo").rglob("flows/*.yaml")):
        yield path.name, path.read_text()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)) if "version: 1" in source else ():
            if (
                isinstance(node, ast.Constant)
                and isinstance(text := node.value, str)
                and "version: 1" in text
            ):
                yield f"{path.name}:{node.lineno}", text


def found(text: str, folder: Path) -> set[str] | None:
    """Return the codes that `validate` reports for a flow; None if its text is no YAML of ours."""
    path = folder / "flow.yaml"
    path.write_text(text)
    try:
        errors = load_checked_flow(path, {"AETHERFLOW_STATE_ROOT": str(folder)}).errors
    except InvalidInput as error:
        errors = [one for one in error.diagnostics if one.severity == "error"]
    codes = {one.code for one in errors}
    return None if codes & NOT_OF_YAML else codes


def test_the_schema_agrees_with_validate_on_every_flow_of_readme_demo_and_tests(tmp_path: Path) -> None:
    good = bad = 0
    for name, text in texts_of_flows():
        codes = found(text, tmp_path)
        if codes is None or "jobs" not in text:
            continue
        is_accepted = accepts(parse_document(text, name).value)
        assert is_accepted is not bool(codes & OF_SHAPE), (name, codes)
        good, bad = good + is_accepted, bad + (not is_accepted)
    assert good > 12
    assert bad > 1


STEPS = "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n      - %s\n"
ONE = (
    "version: 1\nflow: {id: f%s}\n%s"
    "jobs: [{id: a%s, steps: [{id: s, type: check_items, inputs: {items: [a]}}]}]\n"
)
GOOD = "{id: s, type: check_items, inputs: {items: [a]}}"
BAD: dict[str, str] = {
    "an empty mapping": "{}\n",
    "a list": "[1]\n",
    "another version": f"version: 2\nflow: {{id: f}}\njobs: [{{id: a, steps: [{GOOD}]}}]\n",
    "no jobs": "version: 1\nflow: {id: f}\njobs: []\n",
    "no steps": "version: 1\nflow: {id: f}\njobs: [{id: a, steps: []}]\n",
    "an id with a space": f"version: 1\nflow: {{id: 'a b'}}\njobs: [{{id: a, steps: [{GOOD}]}}]\n",
    "an id that is a list": f"version: 1\nflow: {{id: [5]}}\njobs: [{{id: a, steps: [{GOOD}]}}]\n",
    "an unknown key of the file": ONE % ("", "x: 1\n", ""),
    "an unknown key of a job": ONE % ("", "", ", needs: []"),
    "an unknown key of a step": STEPS % "{id: s, type: check_items, input: {}, inputs: {items: []}}",
    "a step without a type": STEPS % "{id: s}",
    "a timeout with an unknown unit": STEPS
    % "{id: s, type: check_items, timeout_seconds: 5min, inputs: {items: []}}",
    "a timeout of nothing": STEPS % "{id: s, type: check_items, timeout_seconds: 0, inputs: {items: []}}",
    "a retry without attempts": STEPS
    % "{id: s, type: check_items, retry: {max_attempts: 0}, inputs: {items: []}}",
    "retry_on of something else": STEPS
    % "{id: s, type: check_items, retry: {retry_on: [x]}, inputs: {items: []}}",
    "a cleanup policy of its own": ONE % (", workspace: {cleanup_policy: x}", "", ""),
    "a step type that is not installed": STEPS % "{id: s, type: check_itms, inputs: {items: []}}",
    "an unknown input": STEPS % "{id: s, type: check_items, inputs: {items: [], itms: 1}}",
    "a missing input": STEPS % "{id: s, type: check_items, inputs: {}}",
    "no inputs where some are needed": STEPS % "{id: s, type: check_items}",
    "an input of another kind": STEPS % "{id: s, type: check_items, inputs: {items: [], min_count: many}}",
    "an unknown input inside an input": STEPS
    % "{id: s, type: external.process, inputs: {command: x, log: {out: x}}}",
    "a value that is none of the allowed": STEPS
    % "{id: s, type: external.process, inputs: {command: x, log: {stdout: x}}}",
    "an unknown input of an inner step": STEPS
    % "{id: s, type: with_lock, inputs: {lock_key: k, step: {type: check_items, inputs: {items: [], x: 1}}}}",
    "an inner step that is not installed": STEPS
    % "{id: s, type: with_lock, inputs: {lock_key: k, step: {type: x}}}",
    "a driver that is not installed": ONE % ("", "resources: {r: {kind: db, driver: x}}\n", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_a_shape_error_is_refused_by_both(tmp_path: Path, case: str) -> None:
    codes = found(BAD[case], tmp_path)

    assert codes
    assert codes & OF_SHAPE, codes
    assert not accepts(parse_document(BAD[case], "f").value)


TEMPLATES: dict[str, str] = {
    "a number": "{id: s, type: check_items, inputs: {items: [a], min_count: '{{params.x}}'}}",
    "a number in quotes": "{id: s, type: check_items, inputs: {items: [a], min_count: '2'}}",
    "a list": "{id: s, type: check_items, inputs: {items: '{{params.x}}'}}",
    "a truth value": "{id: s, type: external.process, inputs: {command: x, shell: '{{params.x}}'}}",
    "a word of a few": "{id: s, type: external.process, inputs: {command: x, log: {stdout: '{{params.x}}'}}}",
    "a mapping": "{id: s, type: external.process, inputs: {command: x, log: '{{params.x}}'}}",
    "an inner type": "{id: s, type: with_lock, inputs: {lock_key: k, step: {type: '{{params.x}}'}}}",
}


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_template_may_stand_for_any_input(tmp_path: Path, case: str) -> None:
    text = STEPS.replace("{id: f}", "{id: f, params: {x: {}}}") % TEMPLATES[case]

    assert found(text, tmp_path) == set()
    assert accepts(parse_document(text, "f").value)


WORDS = st.sampled_from(["a", "b c", "", "1", "skip_job", "always", "full", "{{params.x}}", "int"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(-1, 3).filter(lambda n: not n.is_integer())
    | WORDS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
FLOW = parse_document(
    "version: 1\n"
    "flow: {id: f, description: d, workspace: {root: r, layout: {artifacts: a}}, locks: {scope: job},\n"
    "  params: {x: {type: int, default: 1, enum: [1]}}, retry: {max_attempts: 2, jitter: true},\n"
    "  fail_fast: true, state: {path: p, synchronous: full}, max_parallel_jobs: 3, timeout_seconds: 1.5,\n"
    "  on_exit: []}\n"
    "resources: {r: {kind: db, driver: sqlite3, profile: p, config: {path: x}, options: {}, decode: {}}}\n"
    "jobs: [{id: a, depends_on: [], when: true, for_each: [1], max_parallel: 1, timeout_seconds: 2,\n"
    "  steps: [{id: s, type: check_items, inputs: {items: []}, outputs: {}, on_no_data: skip_job}]}]\n",
    "f",
).value


def paths(value: Any, base: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield base
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        if base[-1:] not in (("inputs",), ("config",)):
            yield from paths(item, (*base, key))


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy: Any = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@examples(90)
@given(st.sampled_from([p for p in paths(FLOW) if p[-1:] not in (("type",), ("kind",), ("driver",))]), VALUES)
def test_a_value_put_anywhere_into_a_flow_is_accepted_by_both_or_by_none(
    path: tuple[str | int, ...], value: Any
) -> None:
    flow = changed(FLOW, path, value)
    content = Content(flow, Anywhere(), (0, 0), {})  # type: ignore[arg-type]  # no text

    spec, _ = decode(Document("f", content, {}), FlowFile)

    inputs = path[-1:] == ("inputs",)
    assert accepts(flow) is (spec is not None) or inputs or "check_items" not in str(flow), (path, value)


class Anywhere:
    """Places of data that was never written down."""

    def __getitem__(self, index: int) -> int:
        return 0


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("main: {config: {url: x}, options: {}, decode: {config: {url: true}}}\n", True),
        ("main: {}\n", True),
        ("main: {confg: {}}\n", False),
        ("main: 5\n", False),
        ("- main\n", False),
    ],
)
def test_the_schema_of_profiles(text: str, is_right: bool) -> None:  # noqa: FBT001 - what the case says
    document = parse_document(text, "f")
    assert accepts(document.value, "profiles") is is_right
    assert (decode(document, dict[str, ProfileSpec])[0] is not None) is is_right


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("version: 1\nitems: [{id: a, cron: '* * * * *', flow_yaml: f.yaml}]\n", True),
        ("version: 1\nitems: [{id: a, interval_seconds: 60, flow_yaml: f.yaml, params: {x: 1}}]\n", True),
        ("version: 1\nitems: [{id: a, cron: [5], flow_yaml: f.yaml}]\n", False),
        ("version: 1\nitems: [{id: a, interval_seconds: 1h30m, flow_yaml: 5, description: 1.10}]\n", True),
        ("version: 1\nitems: [{id: a, crn: x}]\n", False),
        ("version: 1\nitems: [{id: a, deadline: {start_within: 15m, longer_than: 3x}}]\n", True),
        ("version: 1\nitems: [{id: a, deadline: {start_within: soon}}]\n", False),
        ("version: 1\nitems: [{id: a, deadline: 2h}]\n", False),
        ("version: 1\nitems: [{id: a, on_late: [{id: p, type: check_items, inputs: {items: [1]}}]}]\n", True),
        ("version: 1\nitems: [{id: a, on_late: [{type: check_items}]}]\n", False),
        ("version: 1\nitems: []\n", False),
        ("version: 1\ncalendars: {c: {working_day: first}}\nitems: [{id: a}]\n", True),
        ("version: 1\ncalendars: {c: {working_day: third}}\nitems: [{id: a}]\n", False),
        ("version: 1\ncalendars: {c: {exclude: [tomorrow]}}\nitems: [{id: a}]\n", False),
    ],
)
def test_the_schema_of_scheduler_files(text: str, is_right: bool) -> None:  # noqa: FBT001 - what the case says
    document = parse_document(text, "f")
    assert accepts(document.value, "scheduler") is is_right
    assert (decode(document, ScheduleFile)[0] is not None) is is_right


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("version: 1\nbundle: {id: b, source: {type: filesystem, base_path: share}}\n", True),
        (
            "version: 1\nmode: enterprise\nbundle: {id: b, source: {type: sftp}}\npaths: {plugins: [a]}\n",
            True,
        ),
        ("version: 1\nbundle: {id: b, source: {type: ''}}\n", False),
        ("version: 1\nbundle: {id: b}\n", False),
        ("version: 1\nbundle: {id: b, source: {type: sftp}, layout: {flow_dir: x}}\n", False),
        ("version: 1\nbundle: {id: b, source: {type: sftp}}\nenv_files: [{type: x, path: p}]\n", False),
    ],
)
def test_the_schema_of_manifests(text: str, is_right: bool) -> None:  # noqa: FBT001 - what the case says
    document = parse_document(text, "f")
    assert accepts(document.value, "manifest") is is_right
    assert (decode(document, ManifestFile)[0] is not None) is is_right


def test_manifests_and_scheduler_files_of_the_manual_fit_their_schemas() -> None:
    seen = set()
    for _, block in all_blocks("yaml"):
        kind = "manifest" if "\nbundle:" in block.text else "scheduler" if "\nitems:" in block.text else ""
        if kind:
            seen.add(kind)
            assert list(validator(kind).iter_errors(parse_document(block.text, kind).value)) == []
    assert seen == {"manifest", "scheduler"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described(kind: str) -> None:
    definitions = validator(kind).schema["definitions"]

    without = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, schema in definition.get("properties", {}).items()
        if not schema.get("description")
    ]
    assert definitions
    assert without == []


def test_an_example_profile_is_loaded_as_the_schema_says() -> None:
    path = ROOT / "demo" / "usecase-singleflow" / "profiles.yaml"
    assert load_profiles(path)
    assert accepts(parse_document(path.read_bytes(), "f").value, "profiles")


def test_the_command_prints_the_schema_and_knows_plugins_of_the_path(cli: CommandLine) -> None:
    cli.write(
        "plugins/mine.py",
        "import msgspec\nfrom aetherflow import StepContext, step\n\n\n"
        "class In(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n    '''In.\n\n    Attributes:\n"
        "        path: which file.\n    '''\n\n    path: str\n\n\n"
        "@step('mine')\ndef mine(context: StepContext, inputs: In) -> None:\n    '''Do it.'''\n",
    )

    schema = cli.run("schema", env={"AETHERFLOW_PLUGIN_PATHS": str(cli.folder / "plugins")}).json()

    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "mine" in schema["definitions"]["StepSpec"]["properties"]["type"]["enum"]
    assert schema["definitions"]["mine:In"]["properties"]["path"] == {
        "type": ["string", "number", "boolean", "null"],
        "description": "which file.",
    }
    for kind in KINDS:
        assert cli.run("schema", "--kind", kind).json()["title"].startswith("AetherFlow ")
    assert cli.run("schema", "--kind", "cake").code == 2


def test_the_schema_of_scheduler_files_knows_the_types_of_steps() -> None:
    file = "version: 1\nitems: [{id: a, on_late: [{id: p, type: check_itms, inputs: {items: [1]}}]}]\n"
    assert not accepts(parse_document(file, "f").value, "scheduler")
