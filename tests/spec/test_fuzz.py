"""Whatever stands in a flow file, the answer is a flow or InvalidInput, and places lie within the file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from aetherflow.errors import InvalidInput
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, parse_document
from aetherflow.spec.flow import FlowFile
from aetherflow.spec.load import load_flow
from aetherflow.spec.yaml_content import Content
from tests.sizes import examples

FLOW = """\
version: 1
flow:
  id: demo
  params: {day: {type: date, default: "2026-01-01"}}
  retry: &r {max_attempts: 3, backoff_seconds: 0.5, jitter: true}
resources:
  db: {kind: db, driver: sqlite3, config: {path: 'a b'}}
jobs:
  - id: one
    when: params.day != null
    steps:
      - id: s
        type: check_items
        retry: *r
        inputs:
          text: |
            {{params.day}}
          items: [1, 2.5, true, ~]
"""
CHARACTERS = [*"\t\n :-?[]{},&*!|>'\"%@`#<~\\.01exn", "\x00", "\x07", "\x85", "\ufeff", "😀", "\u2028"]
MARKS = ["- ", "? ", ": ", "<<", "&r ", "*r", "!!", "!!str ", "!!int ", "---", "...", "{{", "}}", "\n  "]
PIECES = st.sampled_from([*CHARACTERS, *MARKS, "0x", "9" * 5000, "[" * 200])
EDITS = st.lists(
    st.tuples(st.integers(0, len(FLOW)), st.integers(0, 12), st.one_of(PIECES, st.text(max_size=4))),
    min_size=1,
    max_size=4,
)


def edited(edits: list[tuple[int, int, str]]) -> str:
    text = FLOW
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    return text


def check_places(error: InvalidInput, text: str) -> None:
    lines = text.removeprefix("\ufeff").replace("\x85", "\n").replace("\u2028", "\n").splitlines() or [""]
    for diagnostic in error.diagnostics:
        assert diagnostic.code.startswith("AF1")
        assert 1 <= diagnostic.line <= len(lines) + 1
        assert diagnostic.column >= 1


@examples(90)
@given(EDITS)
@example([(0, len(FLOW), "")])
@example([(0, 0, "\ufeff")])
def test_an_edited_flow_is_loaded_or_refused(edits: list[tuple[int, int, str]]) -> None:
    text = edited(edits)
    try:
        document = parse_document(text, "f")
    except InvalidInput as error:
        check_places(error, text)
        return
    spec, diagnostics = decode(document, FlowFile)
    assert (spec is None) == bool(diagnostics)
    if diagnostics:
        check_places(InvalidInput(diagnostics), text)
        assert diagnostics == sorted(diagnostics, key=lambda diagnostic: (diagnostic.line, diagnostic.column))


@examples(50)
@given(st.binary(max_size=60), st.integers(0, len(FLOW)))
def test_bytes_within_a_flow_are_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path: Path = tmp_path_factory.mktemp("fuzz") / "flow.yaml"
    raw = FLOW.encode()
    path.write_bytes(raw[:at] + noise + raw[at:])
    with suppress(InvalidInput):
        assert load_flow(path).spec.version == 1


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = st.text(max_size=6)
PLAIN_DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
SHAPES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("version", "flow", "resources"), PLAIN_DATA)
    | {
        "jobs": st.lists(
            st.fixed_dictionaries(
                {},
                optional=dict.fromkeys(("id", "when", "retry", "depends_on", "x"), PLAIN_DATA)
                | {
                    "steps": st.lists(
                        st.fixed_dictionaries({}, optional={"id": LEAVES, "type": LEAVES}), max_size=2
                    )
                },
            ),
            max_size=3,
        )
    },
)


@examples(36)
@given(SHAPES)
def test_data_of_any_shape_is_explained_in_our_own_words(shape: Any) -> None:
    content = Content(shape, Anywhere(), (0, 0), {})  # type: ignore[arg-type]  # no text
    document = Document("f", content, {})
    spec, diagnostics = decode(document, FlowFile)
    assert (spec is None) == bool(diagnostics)
    assert not [
        diagnostic
        for diagnostic in diagnostics
        if "Expected `" in diagnostic.message or "Object" in diagnostic.message
    ]


class Anywhere:
    """Places of data that was never written down."""

    def __getitem__(self, index: int) -> int:
        return 0


@examples(36)
@given(PLAIN_DATA.filter(lambda value: value is not None and value != ""))
def test_what_a_yaml_writer_wrote_is_read_back(value: Any) -> None:
    quoted = yaml.safe_dump({"k": value}, default_style='"', allow_unicode=False)
    assert parse_document(quoted, "f").value == {"k": value}
