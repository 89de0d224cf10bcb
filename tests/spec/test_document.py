"""YAML text becomes plain data that knows its places; what cannot be trusted is refused with its place."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from aetherflow.errors import InvalidInput, Position
from aetherflow.spec import document as document_module
from aetherflow.spec import yaml_reader
from aetherflow.spec.document import Document, parse_document, read_document
from aetherflow.spec.yaml_scalars import scalar_value


def parse(text: str | bytes) -> Document:
    return parse_document(text, "f.yaml")


def complaint(text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as raised:
        parse(text)
    return str(raised.value)


SCALARS: list[tuple[str, Any]] = [
    ("", None),
    ("~", None),
    ("null", None),
    ("NULL", None),
    ("true", True),
    ("False", False),
    ("no", "no"),
    ("on", "on"),
    ("yes", "yes"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("12:30:45", "12:30:45"),
    ("2026-01-01", "2026-01-01"),
    ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
    ("012", 12),
    ("-7", -7),
    ("+7", 7),
    ("0o17", 15),
    ("0x1f", 31),
    ("-0x1f", "-0x1f"),
    ("0b1", "0b1"),
    ("1_000", "1_000"),
    ("1e3", 1000.0),
    ("1.", 1.0),
    (".5", 0.5),
    ("-1.5E-2", -0.015),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("1.2.3", "1.2.3"),
    (".", "."),
    ("-", "-"),
    ("\u0661", "\u0661"),
    ("nul", "nul"),
    ("tRUE", "tRUE"),
    ("<<", "<<"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    found = scalar_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "value"), [case for case in SCALARS if case[0] != "-"])
def test_a_scalar_in_a_file_means_the_same(text: str, value: Any) -> None:
    found = parse(f"a: {text}\n").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_fraction() -> None:
    assert math.isnan(scalar_value(".nan"))


def test_quoted_and_block_scalars_stay_text() -> None:
    text = "a: '1'\nb: \"true\"\nc: |\n  2\nd: >-\n  null\ne: ''\nf: ! 5\n"
    assert parse(text).value == {"a": "1", "b": "true", "c": "2\n", "d": "null", "e": "", "f": "5"}


def test_the_tags_of_the_core_schema_are_followed() -> None:
    text = "a: !!str 5\nb: !!int '5'\nc: !!float 3\nd: !!bool true\ne: !!null ''\nf: !!map {}\ng: !!seq []\n"
    value = parse(text).value
    assert value == {"a": "5", "b": 5, "c": 3.0, "d": True, "e": None, "f": {}, "g": []}
    assert type(value["c"]) is float


def test_keys_are_the_text_as_written() -> None:
    assert list(parse("1: a\nnull: b\n~: c\n1.50: d\nno: e\n'<<': f\n&x g: h\n").value) == [
        "1",
        "null",
        "~",
        "1.50",
        "no",
        "<<",
        "g",
    ]


def test_aliases_stand_for_what_was_anchored() -> None:
    text = "retry: &r {max: 3, on: [any]}\njobs:\n  - {retry: *r, name: &n text}\n  - {retry: *r, name: *n}\n"
    value = parse(text).value
    assert value["jobs"][1] == {"retry": {"max": 3, "on": ["any"]}, "name": "text"}


def test_an_anchor_may_be_defined_again() -> None:
    assert parse("- &a 1\n- *a\n- &a 2\n- *a\n").value == [1, 1, 2, 2]


def test_a_large_file_may_use_an_alias_in_each_of_its_jobs() -> None:
    jobs = "".join(f"  - {{id: job_{n}, description: number {n}, retry: *r}}\n" for n in range(20_000))
    value = parse(f"retry: &r {{max_attempts: 3, backoff_seconds: 5, jitter: true}}\njobs:\n{jobs}").value
    assert value["jobs"][19_999]["retry"]["backoff_seconds"] == 5


def test_99_levels_and_a_megabyte_of_text_are_fine() -> None:
    value = parse("a: " + "[" * 99 + "]" * 99 + f"\nb: {'x' * 2**20}\nc: |\n  {'y' * 2**20}\n").value
    assert len(value["b"]) == 2**20
    assert len(value["c"]) == 2**20 + 1


def test_a_byte_order_mark_is_tolerated_and_moves_no_place() -> None:
    document = parse(b"\xef\xbb\xbfa: 1\nb: 2\n")
    assert document.value == {"a": 1, "b": 2}
    assert document.position(("a",)) == Position(1, 1)


def test_after_very_many_findings_the_reader_gives_up() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse("a: 1\n" * 10_000)
    assert len(raised.value.diagnostics) == yaml_reader.MAX_DIAGNOSTICS


def test_a_file_beyond_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "MAX_BYTES", 2**20)
    assert complaint("a: " + "x" * 2**20) == (
        "f.yaml:1:1: error[AF106]: the file is larger than 1 MiB\n    hint: split it into several files"
    )


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(*, was_enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was_enabled else gc.disable)()
        parse("a: 1\n")
        assert gc.isenabled() is was_enabled
        complaint("a: [\n")
        assert gc.isenabled() is was_enabled
    finally:
        (gc.enable if before else gc.disable)()


FLOW = """\
# a comment
version: 1
flow: {id: demo, params: {day: {type: date}}}
jobs:
  - id: one
    steps:
      - id: "s"
        inputs: &in
          items: [a, 'b', "c d"]
          text: |
            {{x}}
          folded: plain
            text
  -
    id: two
    steps: [{id: s, inputs: *in}]
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (2, 1)),
        (("version",), (2, 1)),
        (("flow", "id"), (3, 8)),
        (("flow", "params", "day", "type"), (3, 33)),
        (("jobs",), (4, 1)),
        (("jobs", 0), (5, 5)),
        (("jobs", 0, "id"), (5, 5)),
        (("jobs", 0, "steps", 0), (7, 9)),
        (("jobs", 0, "steps", 0, "inputs", "items", 1), (9, 22)),
        (("jobs", 1), (15, 5)),
        (("jobs", 1, "id"), (15, 5)),
        (("jobs", 1, "steps", 0, "inputs"), (16, 21)),
        (("jobs", 1, "steps", 0, "inputs", "text"), (10, 11)),
        (("jobs", 7, "id"), (4, 1)),
        (("jobs", -1), (4, 1)),
        (("jobs", "one"), (4, 1)),
        (("flow", 0), (3, 1)),
        (("flow", "id", "x", "y"), (3, 8)),
        (("nothing", "at", "all"), (2, 1)),
    ],
)
def test_every_node_has_a_place_or_that_of_the_nearest_one_above(
    path: tuple[str | int, ...], place: tuple[int, int]
) -> None:
    assert parse(FLOW).position(path) == Position(*place)


INPUTS = ("jobs", 0, "steps", 0, "inputs")


@pytest.mark.parametrize(
    ("path", "offset", "place"),
    [
        (("jobs", 0, "id"), 0, (5, 9)),
        (("jobs", 0, "id"), 2, (5, 11)),
        (("jobs", 0, "id"), 99, (5, 12)),
        (("jobs", 0, "steps", 0, "id"), 0, (7, 14)),
        ((*INPUTS, "items", 0), 0, (9, 19)),
        ((*INPUTS, "items", 1), 0, (9, 23)),
        ((*INPUTS, "items", 2), 2, (9, 30)),
        ((*INPUTS, "text"), 3, (10, 17)),
        ((*INPUTS, "folded"), 8, (12, 19)),
        (INPUTS, 3, (8, 9)),
        (("version",), 1, (2, 1)),
        (("jobs", 0, "missing"), 4, (5, 5)),
    ],
)
def test_an_offset_in_a_text_becomes_a_place_where_that_is_certain(
    path: tuple[str | int, ...], offset: int, place: tuple[int, int]
) -> None:
    assert parse(FLOW).text_position(path, offset) == Position(*place)


@pytest.mark.parametrize(
    "line",
    [
        "a: 'it''s {{x}}'",
        'a: "tab\\t{{x}}"',
        "a: &x text",
        "a: !!str text",
        "a: 'two\n\n  lines'",
    ],
)
def test_a_text_with_escapes_anchors_or_folds_is_pointed_at_as_a_whole(line: str) -> None:
    assert parse(line).text_position(("a",), 4) == Position(1, 4)


def test_columns_count_characters_not_bytes() -> None:
    document = parse('ä: {"ö": x, ü😀: "abc"}\n')
    assert document.position(("ä", "ü😀")) == Position(1, 13)
    assert document.text_position(("ä", "ü😀"), 2) == Position(1, 20)


def test_a_mapping_with_very_many_keys_answers_each_question_at_once() -> None:
    document = parse("".join(f"k{n}:\n  v{n}: 1\n" for n in range(5000)))
    assert all(document.position((f"k{n}", f"v{n}")) == Position(2 * n + 2, 3) for n in range(5000))


def test_a_document_that_is_one_scalar_has_a_place_too() -> None:
    document = parse("\n  'text'\n")
    assert document.value == "text"
    assert document.position(()) == Position(2, 3)
    assert document.text_position((), 1) == Position(2, 5)


def test_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse(FLOW)
    monkeypatch.setattr(yaml_reader, "_Loader", yaml.SafeLoader)
    slow = parse(FLOW)
    assert slow.value == fast.value
    assert (slow._content.places, slow._content.spelled) == (fast._content.places, fast._content.spelled)
    assert "U+0007" in complaint("a: \x07")
    assert "a text cannot begin with '@'" in complaint("a: @b\n")


def test_no_file_is_reported_with_the_directory_that_was_searched(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    with pytest.raises(InvalidInput) as raised:
        read_document(path)
    assert str(raised.value) == (
        f"{path}:1:1: error[AF101]: there is no such file\n    hint: it was looked for in {tmp_path}"
    )
    assert raised.value.code == "AF101"


def test_a_directory_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"error\[AF101\]: this is a directory\n    hint: name a file in it"
    ):
        read_document(tmp_path)


def test_a_path_through_a_file_is_reported_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a: 1\n")
    with pytest.raises(InvalidInput, match=r"AF101\]: this file cannot be read: Not a directory"):
        read_document(tmp_path / "file" / "flow.yaml")


def test_a_path_with_a_nul_is_reported_with_the_reason() -> None:
    with pytest.raises(InvalidInput, match=r"AF101\]: this file cannot be read: .*embedded null"):
        read_document(Path("a\0b"))


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Give up root's right to read everything, for the block."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("a: 1\n")
    path.chmod(0)
    with as_an_ordinary_user(), pytest.raises(InvalidInput, match=r"AF101\]: this file may not be read"):
        read_document(path)


def test_a_named_pipe_is_refused_and_one_of_the_shell_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match=r"AF101\]: this file cannot be read: it is a named pipe"):
        read_document(tmp_path / "pipe")
    inner, outer = os.pipe()
    os.write(outer, b"a: 1")
    os.close(outer)
    assert read_document(Path(f"/dev/fd/{inner}")).value == {"a": 1}
    os.close(inner)


def test_a_file_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "MAX_BYTES", 2**20)
    with pytest.raises(InvalidInput, match=r"AF106\]: the file is larger than 1 MiB"):
        read_document(Path("/dev/zero"))


def test_the_file_is_named_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flow.yaml").write_text("a: 1\na: 2\n")
    with pytest.raises(InvalidInput, match=r"^flow\.yaml:2:1: "):
        read_document(Path("flow.yaml"))
