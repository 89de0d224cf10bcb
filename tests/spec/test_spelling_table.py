"""The table of spellings: what is written at a place that takes a text arrives there, character by character.

The places are every field of every Struct that a file is read to, so a new field is in the table by itself.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import inspect as kinds

from aetherflow.spec.convert import convert_values, type_info
from aetherflow.spec.decode import decode
from aetherflow.spec.document import parse_document
from aetherflow.spec.flow import StepSpec
from aetherflow.spec.spelling import as_wanted
from aetherflow.spec.yaml_scalars import scalar_value
from tests.spec.places import Place, document_of, places

SPELLINGS = (
    # version numbers, numbers with zeros, bases, signs and exponents
    *("3.10", "1.0", "007", "-1", "+5", ".5", "5.", "1e3", "0x1F", "0o17", "-0", "1_000"),
    *("123456789012345678901234567890", ".inf", ".nan", ".NaN"),
    # times and dates
    *("12:30", "2026-01-01", "20260101"),
    # words that are truth or nothing to some reader of YAML
    *("true", "True", "TRUE", "false", "on", "yes", "no", "y"),
    *("~", "null", "Null"),
)
NATIVE: dict[type[kinds.Type], tuple[type, ...]] = {
    kinds.IntType: (int,),
    kinds.FloatType: (int, float),
    kinds.BoolType: (bool,),
    kinds.NoneType: (type(None),),
}
DURATIONS = {
    "90": 90,
    "90s": 90,
    "'90s'": 90,
    '"90"': 90,
    "5m": 300,
    "2h": 7200,
    "1d": 86_400,
    "1h30m": 5400,
    "0.5h": 1800,
}


def takes(place: Place, *wanted: type[kinds.Type]) -> bool:
    return any(isinstance(kind, wanted) for kind, _ in place.options)


def is_duration(place: Place) -> bool:
    return any(marks.get("duration") for _, marks in place.options)


TEXTS = {
    place.name: place
    for place in places()
    if takes(place, kinds.StrType) and not any(marks.get("texts_only") for _, marks in place.options)
}
STRUCTS: dict[str, list[Place]] = {}
"""The places of texts, by the Struct in which they are."""
for _place in TEXTS.values():
    STRUCTS.setdefault(_place.name.partition(".")[0], []).append(_place)
SECONDS = {place.name: place for place in places() if is_duration(place)}


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key] if isinstance(value, dict | list) else getattr(value, key)
    return value


def meant(place: Place, written: str) -> Any:
    """Return what a place takes: a value of its other kinds, if it has some, else the characters."""
    value = scalar_value(written)
    own = {kind for option, _ in place.options for kind in NATIVE.get(type(option), ())}
    return value if type(value) in own else written


@pytest.mark.parametrize("struct", STRUCTS)
def test_a_text_is_the_characters_that_are_written(struct: str) -> None:
    for place in STRUCTS[struct]:
        for written in SPELLINGS:
            arrives(place, written)


def arrives(place: Place, written: str) -> None:
    """Check that what is written at a place is there when its file is read."""
    where = (place.name, written)
    document = parse_document(document_of(place, written), "f.yaml")
    value = as_wanted(document.value, type_info(place.struct), document.written)
    assert str(at(value, place.path)) == str(meant(place, written)), where  # nan is not nan
    assert type(at(value, place.path)) is type(meant(place, written)), where

    if not hasattr(place.struct, "called"):
        return  # inputs have rules of their own; a file is read at once
    spec, diagnostics = decode(document, place.struct)
    assert spec is None or at(spec, place.path) == meant(place, written), where
    assert all(repr(written) in one.message for one in diagnostics), (
        where,
        [str(one) for one in diagnostics],
    )


@pytest.mark.parametrize("struct", STRUCTS)
def test_a_text_in_quotes_is_what_is_in_the_quotes_and_nothing_at_all_is_no_text(struct: str) -> None:
    for place in STRUCTS[struct]:
        document = parse_document(document_of(place, "'007'"), "f.yaml")
        text = at(as_wanted(document.value, type_info(place.struct), document.written), place.path)
        assert text == "007", place.name
        if place.path[-1] != 0:  # a list in brackets has no empty item
            document = parse_document(document_of(place, ""), "f.yaml")
            nothing = at(as_wanted(document.value, type_info(place.struct), document.written), place.path)
            assert nothing is None, place.name


def test_the_table_knows_the_places_that_people_stumble_over() -> None:
    assert len(TEXTS) > 100
    assert {
        "ProcessInput.args.0",
        "ProcessInput.command.0",
        "ProcessInput.env.k",
        "FlowMeta.description",
        "JobSpec.depends_on.0",
        "DbExtractInput.sql",
        "Sqlite3Config.path",
        "ItemSpec.flow_yaml",
        "ProjectFile.env_files.0",
        "SourceSpec.base_path",
        "EnvFile.path",
    } <= TEXTS.keys()


@pytest.mark.parametrize("name", SECONDS)
def test_a_duration_is_written_with_or_without_units(name: str) -> None:
    place = SECONDS[name]
    for written, seconds in DURATIONS.items():
        document = parse_document(document_of(place, written), "f.yaml")
        spec, diagnostics = decode(document, place.struct)
        assert diagnostics == [], written
        assert at(spec, place.path) == seconds, written
        given = convert_values({**document.value}, place.struct)
        assert at(given, place.path) == seconds, written


@pytest.mark.parametrize("name", SECONDS)
def test_what_is_no_duration_is_refused_with_what_is_accepted(name: str) -> None:
    place = SECONDS[name]
    spec, (diagnostic,) = decode(parse_document(document_of(place, "5min"), "f.yaml"), place.struct)
    assert (spec, diagnostic.code) == (None, "AF116")
    assert "90s, 5m, 2h, 1d, 1h30m" in diagnostic.hint


def test_every_number_that_is_named_like_a_time_is_a_duration() -> None:
    like_a_time = ("_seconds", "timeout", "_recycle", "grace_time", "_window", "_within")
    numbers = [place for place in places() if takes(place, kinds.IntType, kinds.FloatType)]
    named = {place.name for place in numbers if str(place.path[-1]).endswith(like_a_time)}
    assert len(named) > 15
    others = {
        name
        for name in SECONDS
        if name.startswith(("TimeoutOptions.", "SftpConfig.keepalive", "WatermarkInput."))
    }
    assert len(others) > 4
    assert named | others == SECONDS.keys()


def test_places_of_no_type_keep_the_spelling_of_numbers_that_json_would_lose() -> None:

    document = parse_document(
        "id: s\ntype: t\n"
        "outputs: {a: 3.10, b: 1, c: 3.5, d: true, e: True, f: ~, g: [007, {h: 0x1F}], i: '3.10'}\n",
        "f.yaml",
    )
    spec, _ = decode(document, StepSpec)
    assert spec is not None
    assert spec.outputs == {
        "a": "3.10",
        "b": 1,
        "c": 3.5,
        "d": True,
        "e": True,
        "f": None,
        "g": ["007", {"h": "0x1F"}],
        "i": "3.10",
    }
