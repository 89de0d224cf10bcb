from __future__ import annotations

from typing import Any

import pytest

from aetherflow.config.merge import UnknownProfile
from aetherflow.config.resource_origins import FieldOrigin, Variable, explain_resource
from aetherflow.redaction import Redactor
from aetherflow.spec.flow import ProfileSpec, ResourceSpec

CANARY = "canary-7f3a9c"


def explained(
    env: dict[str, str], profile: ProfileSpec | None = None, redactor: Redactor | None = None, **keys: Any
) -> list[FieldOrigin]:
    name = None if profile is None else "db"
    spec = ResourceSpec(kind="db", driver="x", profile=name, **keys)
    profiles = {} if profile is None else {"db": profile}
    return explain_resource("main", spec, profiles, env, redactor=redactor or Redactor())


def test_each_field_has_its_source_template_and_value() -> None:
    profile = ProfileSpec(
        config={"url": "{{env.HOST}}/{{env.NAME:main}}", "password": "{{env.PW}}", "auth": {"user": "etl"}},
        decode={"config": {"password": True}},
    )
    found = explained(
        {"HOST": "db1", "PW": "x"},
        profile,
        config={"auth": {"user": "own"}, "ports": [1, "{{env.P}}"], "empty": {}},
        options={"pool": 5, "ssl": True, "none": None},
    )
    assert found == [
        FieldOrigin(
            "config.url",
            "profile db",
            "{{env.HOST}}/{{env.NAME:main}}",
            "db1/main",
            variables=(Variable("HOST", "environment"), Variable("NAME", "default")),
        ),
        FieldOrigin(
            "config.password",
            "profile db",
            "{{env.PW}}",
            "***",
            decoded=True,
            variables=(Variable("PW", "environment"),),
        ),
        FieldOrigin("config.auth.user", "flow", "own", "own"),
        FieldOrigin("config.ports.0", "flow", "1", "1"),
        FieldOrigin(
            "config.ports.1", "flow", "{{env.P}}", "", missing=("P",), variables=(Variable("P", "not set"),)
        ),
        FieldOrigin("config.empty", "flow", "{}", "{}"),
        FieldOrigin("options.pool", "flow", "5", "5"),
        FieldOrigin("options.ssl", "flow", "true", "true"),
        FieldOrigin("options.none", "flow", "null", "null"),
    ]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        (CANARY, "***"),
        ("{{env.PW}}", "{{env.PW}}"),
        ("{{ env.PW : " + CANARY + "}}", "{{env.PW:***}}"),
        ("{{env.PW:}}", "{{env.PW:}}"),
        ("x" + CANARY + "{{env.PW}}", "***{{env.PW}}"),
        ("{{" + CANARY, "***"),
        ("{{" + CANARY + "}}", "***"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("field", ["password", "plain"])
def test_the_template_of_a_secret_shows_variables_and_no_text(field: str, template: str, shown: str) -> None:
    decode = {} if field == "password" else {"config": {"plain": True}}
    (found,) = explained({"PW": CANARY}, config={field: template}, decode=decode)
    assert found.template == shown.replace(" :", ":")
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    "config",
    [
        {"password": CANARY},
        {"password": "{{env.PW}}"},
        {"auth": {"token": {"value": "{{env.PW}}", "other": [CANARY]}}},
        {"api_key": 73190},
        {"url": f"postgres://user:{CANARY}@host/db"},
        {"url": "{{env.DB_URL}}"},
        {"url": "postgres://user:{{env.PW}}@host/db"},
        {"line": "Bearer {{env.API_TOKEN}}"},
        {"line": "Bearer {{env.NO_TOKEN:" + CANARY + "}}"},
        {"a_copy": CANARY, "password": CANARY},
        {"a_copy": "{{env.PW}}", "password": "{{env.PW}}"},
        {"plain": "{{env.PW}}"},
        {"password": "{{steps.x}}" + CANARY},
        {"password": CANARY + "{{env.MISSING}}"},
    ],
)
def test_no_secret_is_ever_shown(config: dict[str, Any]) -> None:
    env = {"PW": CANARY, "API_TOKEN": CANARY, "DB_URL": f"mysql://u:{CANARY}@h/d"}
    decode = {"config": {"plain": True}} if "plain" in config else {}
    found = explained(env, config=config, decode=decode)
    assert found
    assert CANARY not in repr(found)
    assert "73190" not in repr(found)


def test_a_wrong_template_is_shown_without_a_value() -> None:
    (found,) = explained({}, config={"url": "{{env.A | upper}}"})
    assert found == FieldOrigin("config.url", "flow", "{{env.A | upper}}", "")


def test_secrets_known_before_are_masked_too() -> None:
    (found,) = explained({"X": CANARY}, redactor=Redactor([CANARY]), config={"note": "see {{env.X}}"})
    assert found.value == "see ***"


def test_an_unknown_profile_is_an_error() -> None:
    spec = ResourceSpec(kind="db", driver="x", profile="nope")
    with pytest.raises(UnknownProfile):
        explain_resource("main", spec, {}, {}, redactor=Redactor())
