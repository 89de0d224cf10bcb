"""What a connector would refuse when it is opened is reported by `validate`, at its place."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from aetherflow.config.prepared_resource import prepare_resource
from aetherflow.config.resource_check import check_resource
from aetherflow.config.resource_shape import shape_problems
from aetherflow.spec.document import parse_document
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    word: str
    max_attempts: int = 1


class Config(msgspec.Struct, forbid_unknown_fields=True):
    url: Annotated[str, Meta(min_length=1)]
    port: int = 1
    password: str = ""
    hosts: list[int] = []


class Options(msgspec.Struct, forbid_unknown_fields=True):
    size: int = 5
    retry: Retry | None = None


class Lenient(msgspec.Struct):
    url: str


SHAPES: dict[str, type[Any]] = {"config": Config, "options": Options}


def reported(
    config: dict[str, Any],
    options: dict[str, Any] | None = None,
    shapes: dict[str, type[Any]] = SHAPES,
    **more: Any,
) -> list[tuple[str, str, str]]:
    spec = ResourceSpec(kind="db", driver="x", config=config, options=options or {}, **more)
    found = shape_problems(prepare_resource("r", spec, {"p": ProfileSpec(config={"url": "u"})}), shapes)
    return [(".".join(map(str, one.path)), one.code, one.message) for one in found]


@pytest.mark.parametrize(
    "config",
    [
        {"url": "x", "port": 5, "hosts": [1, 2]},
        {"url": "x", "port": "5"},
        {"url": "{{env.URL}}", "port": "{{env.PORT:7}}", "hosts": ["{{env.HOST}}"]},
        {"url": {"secret": "env:URL"}, "hosts": [{"secret": "env:HOST"}]},
    ],
)
def test_what_fits_or_is_known_later_is_not_reported(config: dict[str, Any]) -> None:
    assert reported(config, {"cache": "none", "size": 3}) == []


def test_what_the_connector_would_refuse() -> None:
    assert reported({"ulr": "x", "port": "many", "hosts": [1, "b"]}, {"size": None, "siez": 1}) == [
        ("config.ulr", "AF553", "db:x has no config.ulr"),
        ("config.port", "AF555", "config.port: Expected `int`, got `str`"),
        ("config.hosts", "AF555", "config.hosts: Expected `int`, got `str` - at `$[1]`"),
        ("config", "AF554", "db:x needs config.url"),
        ("options.size", "AF555", "options.size: Expected `int`, got `null`"),
        ("options.siez", "AF553", "db:x has no options.siez"),
    ]


def test_a_mapping_in_a_mapping_is_read_like_the_outer_one() -> None:
    assert reported({"url": "x"}, {"retry": {"word": "{{env.WORD}}", "max_attempts": 2}}) == []
    assert reported({"url": "x"}, {"retry": None}) == []
    assert reported({"url": "x"}, {"retry": {"max_attempt": 2, "max_attempts": "many"}}) == [
        ("options.retry.max_attempt", "AF553", "db:x has no options.retry.max_attempt"),
        ("options.retry.max_attempts", "AF555", "options.retry.max_attempts: Expected `int`, got `str`"),
        ("options.retry", "AF554", "db:x needs options.retry.word"),
    ]
    spec = ResourceSpec(kind="db", driver="x", config={"url": "x"}, options={"retry": {"max_attempt": 2}})
    found = shape_problems(prepare_resource("r", spec, {}), SHAPES)
    assert found[0].hint == "did you mean 'max_attempts'?"


def test_a_secret_is_neither_converted_nor_repeated() -> None:
    assert reported({"url": "x", "password": 5}) == []
    assert reported({"url": "x", "port": "canary"}, decode={"config": {"port": True}}) == []


def test_a_struct_that_takes_unknown_keys_and_a_mapping_say_nothing() -> None:
    assert reported({"more": 1}, {"any": 1}, {"config": Lenient, "options": dict}) == []


def test_what_a_profile_brings_is_there_and_its_mistakes_stand_at_its_name() -> None:
    assert reported({}, profile="p") == []
    text = "resources:\n  r:\n    kind: db\n    driver: x\n    profile: p\n    config: {port: z}\n"
    spec = ResourceSpec(kind="db", driver="x", profile="p", config={"port": "z"})
    profiles = {"p": ProfileSpec(config={"url": "u", "extra": 1})}
    found = check_resource("r", spec, profiles, {}, document=parse_document(text, "flow.yaml"), shapes=SHAPES)
    assert [(one.code, one.line, one.column, one.message) for one in found] == [
        ("AF553", 5, 5, "db:x has no config.extra (from profile p)"),
        ("AF555", 6, 14, "resource 'r': config.port: Expected `int`, got `str`"),
    ]
