"""Which fields of a resource must be fetched or decoded before a run can know their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.config.prepared_resource import prepare_resource
from aetherflow.config.secret_fields import SecretField, secret_fields
from aetherflow.config.secret_reference import SecretReference
from aetherflow.redaction import Redactor
from aetherflow.spec.flow import ResourceSpec
from aetherflow.working_directory import absolute

ENV = {"SET": "coded-1", "EMPTY": "", "WHERE": "/run"}


def found(config: dict[str, Any], *decoded: str, can_decode: bool = True) -> list[tuple[str, object, bool]]:
    """Return field, source and whether it is decoded, of all fields of a resource."""
    spec = ResourceSpec(kind="db", driver="x", config=config, decode={"config_paths": list(decoded)})
    prepared = prepare_resource("r", spec, None)
    assert prepared.problems == ()
    fields = secret_fields("r", prepared, ENV, can_decode=can_decode)
    return [(str(field), field.source, field.is_decoded) for field in fields]


@pytest.mark.parametrize("provider", ["file", "command", "keyring"])
def test_what_another_place_holds_is_fetched(provider: Any) -> None:
    reference = SecretReference(provider, "/run/a")
    assert found({"list": [{"secret": f"{provider}:{{{{env.WHERE}}}}/a"}], "host": "h"}) == [
        ("resource 'r': config.list.0", reference, False)
    ]


def test_a_variable_is_known_unless_it_is_decoded() -> None:
    config = {"a": {"secret": "env:SET"}, "b": {"secret": "env:NONE"}, "c": {"secret": "env:EMPTY"}}
    assert found(config) == []
    assert found(config, "a", "b", "c") == [("resource 'r': config.a", "coded-1", True)]


def test_a_field_is_decoded_as_it_is_rendered_if_there_is_a_decoder_and_a_value() -> None:
    config = {"a": "{{env.SET}}", "b": "plain", "c": "{{env.NONE}}", "d": "", "e": 7, "f": "not decoded"}
    decoded = ("a", "b", "c", "d", "e")
    assert found(config, *decoded) == [
        ("resource 'r': config.a", "coded-1", True),
        ("resource 'r': config.b", "plain", True),
    ]
    assert found(config, *decoded, can_decode=False) == []


def test_a_fetched_secret_may_be_decoded_and_one_whose_place_is_not_known_never_opens() -> None:
    config = {"a": {"secret": "file:x"}, "b": {"secret": "file:{{env.NONE}}"}}
    assert found(config, "a", "b") == [
        ("resource 'r': config.a", SecretReference("file", str(absolute(Path("x")))), True)
    ]


def test_a_url_is_registered_with_its_password_as_written_and_as_read() -> None:
    redactor = Redactor()
    SecretField("r", ("config", "url"), "x", is_decoded=True).register("db://me:p%2Fword-7@h/x", redactor)
    assert redactor.text("got p%2Fword-7 and p/word-7") == "got *** and ***"
