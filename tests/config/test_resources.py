from __future__ import annotations

import copy
from types import MappingProxyType
from typing import Any

import pytest

from aetherflow.config.resources import ResolvedResource, resolve_resource
from aetherflow.config.secrets_provider import Decoder
from aetherflow.errors import ConfigError
from aetherflow.redaction import Redactor
from aetherflow.spec.flow import ProfileSpec, ResourceSpec

CANARY = "canary-7f3a9c"


def reverse(value: str) -> str:
    return value[::-1]


def resource(**keys: Any) -> ResourceSpec:
    return ResourceSpec(kind="db", driver="sqlalchemy", **keys)


def resolved(
    spec: ResourceSpec,
    env: dict[str, str] | None = None,
    profiles: dict[str, ProfileSpec] | None = None,
    decoder: Decoder | None = reverse,
    redactor: Redactor | None = None,
) -> ResolvedResource:
    snapshot = MappingProxyType(env or {})
    return resolve_resource(
        "main", spec, profiles, snapshot, decoder=decoder, redactor=redactor or Redactor()
    )


def test_profile_then_templates_then_decode() -> None:
    profile = ProfileSpec(
        config={"url": "{{env.HOST}}:{{env.PORT:5432}}", "password": "{{env.PW}}", "hosts": ["{{env.HOST}}"]},
        options={"pool": 5, "schema": "{{env.SCHEMA:public}}"},
        decode={"config": {"password": True}},
    )
    spec = resource(
        profile="db", config={"user": "etl", "literal": "${X} {} {{env.EMPTY:}}"}, options={"pool": 9}
    )
    env = {"HOST": "db1", "PW": "2retnuh", "EMPTY": ""}
    before = copy.deepcopy((profile, spec))
    assert resolved(spec, env, {"db": profile}) == ResolvedResource(
        name="main",
        kind="db",
        driver="sqlalchemy",
        config={
            "url": "db1:5432",
            "password": "hunter2",
            "hosts": ["db1"],
            "user": "etl",
            "literal": "${X} {} ",
        },
        options={"pool": 9, "schema": "public"},
    )
    assert (profile, spec) == before


def test_a_rendered_value_is_data_and_is_not_rendered_again() -> None:
    assert resolved(resource(config={"a": "{{env.A}}"}), {"A": "{{env.B}}"}).config == {"a": "{{env.B}}"}


@pytest.mark.parametrize(
    "decode",
    [
        {"config": {"auth": {"password": True}, "hosts": None}, "options": {"key": True}},
        {"config_paths": ["auth.password"], "options_paths": ["key"]},
        {"config": {"auth": {"password": True, "user": False}}, "options_paths": ["key", "key"]},
        {"config": {"auth": {"password": True}}, "config_paths": ["auth.password"], "options": {"key": True}},
    ],
)
def test_both_spellings_of_decode_name_the_same_fields(decode: dict[str, Any]) -> None:
    spec = resource(
        config={"auth": {"user": "abc", "password": "{{env.PW}}"}, "hosts": []},
        options={"key": "xyz"},
        decode=decode,
    )
    found = resolved(spec, {"PW": "2retnuh"})
    assert found.config == {"auth": {"user": "abc", "password": "hunter2"}, "hosts": []}
    assert found.options == {"key": "zyx"}


def test_items_of_a_list_are_decoded_by_number() -> None:
    spec = resource(config={"hosts": [{"pw": "ba"}, {"pw": "dc"}]}, decode={"config_paths": ["hosts.1.pw"]})
    assert resolved(spec).config == {"hosts": [{"pw": "ba"}, {"pw": "cd"}]}


@pytest.mark.parametrize(
    "value", ["{{env.PW}}", " {{ env.PW }} ", "{{env.PW}}\n", "{{env.OTHER:abc}}", "abc"]
)
def test_a_decoded_field_is_one_token_alone_or_plain_text(value: str) -> None:
    found = resolved(resource(config={"pw": value}, decode={"config": {"pw": True}}), {"PW": "abc"})
    assert found.config["pw"].strip() == "cba"


@pytest.mark.parametrize("value", [5, True, None])
def test_what_is_not_text_is_not_decoded(value: object) -> None:
    assert resolved(resource(config={"pw": value}, decode={"config": {"pw": True}})).config == {"pw": value}


def test_without_a_provider_the_value_stays_and_is_masked_all_the_same() -> None:
    redactor = Redactor()
    spec = resource(config={"pin": "{{env.P}}"}, decode={"config": {"pin": True}})
    assert resolved(spec, {"P": "plain-pin"}, decoder=None, redactor=redactor).config == {"pin": "plain-pin"}
    assert redactor.text("plain-pin") == "***"


ERRORS: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"config": {"pw": "x{{env.A}}"}, "decode": {"config": {"pw": True}}},
        "AF530",
        "config.pw is decoded, so it must be one token alone or plain text",
        "write '{{env.NAME}}' and put the rest into the variable",
    ),
    (
        {"options": {"pw": "{{env.A}}{{env.A}}"}, "decode": {"options_paths": ["pw"]}},
        "AF530",
        "options.pw is decoded, so it must be one token alone or plain text",
        "write '{{env.NAME}}' and put the rest into the variable",
    ),
    (
        {"config": {"password": "x"}, "decode": {"config": {"pasword": True}}},
        "AF531",
        "decode.config.pasword names config.pasword, which this resource does not have",
        "did you mean config.password?",
    ),
    (
        {"config": {"a": "x"}, "decode": {"config_paths": ["a.b"]}},
        "AF531",
        "decode.config_paths.0 names config.a.b, which this resource does not have",
        "did you mean config.a?",
    ),
    (
        {"decode": {"options": {"zzz": True}}},
        "AF531",
        "decode.options.zzz names options.zzz, which this resource does not have",
        "fields there: none",
    ),
    (
        {"config": {"auth": {"pw": "x"}}, "decode": {"config": {"auth": True}}},
        "AF532",
        "decode.config.auth names config.auth, which is not a single value",
        "name each text in it that is to be decoded",
    ),
    (
        {"config": {"pw": "x"}, "decode": {"password": True}},
        "AF532",
        "decode.password is not a decode rule",
        "write decode: {config: {password: true}}",
    ),
    (
        {"config": {"pw": "x"}, "decode": {"config_path": ["pw"]}},
        "AF532",
        "decode.config_path is not a decode rule",
        "did you mean 'config_paths'?",
    ),
    (
        {"config": {"pw": "x"}, "decode": {"config": True}},
        "AF532",
        "decode.config is not true, false or a mapping of fields",
        "name its fields: {password: true}",
    ),
    (
        {"config": {"pw": "x"}, "decode": {"config": {"pw": "yes"}}},
        "AF532",
        "decode.config.pw is not true, false or a mapping of fields",
        "write true to decode this field",
    ),
    (
        {"config": {"pw": "x"}, "decode": {"config_paths": "pw"}},
        "AF532",
        "decode.config_paths is not a list of field names",
        "write decode.config_paths: [password, auth.token]",
    ),
    (
        {"config": {"url": "{{params.day}}"}},
        "AF535",
        "config.url: a resource cannot use {{params.day}}",
        "resources may use only {{env.NAME}} and {{flow.dir}}: they are opened before any step has run",
    ),
    (
        {"config": {"urls": ["a", "{{env}}"]}},
        "AF535",
        "config.urls.1: a resource cannot use {{env}}",
        "resources may use only {{env.NAME}} and {{flow.dir}}: they are opened before any step has run",
    ),
    (
        {"config": {"url": "{{env.DB_URI}}"}},
        "AF536",
        "config.url: the environment variable DB_URI is not set",
        "did you mean DB_URL? otherwise set it, or give a default: {{env.DB_URI:DEFAULT}}",
    ),
    (
        {"config": {"url": "{{env.EMPTY}}"}},
        "AF536",
        "config.url: the environment variable EMPTY is empty",
        "set it, or give a default: {{env.EMPTY:DEFAULT}}",
    ),
    (
        {"config": {"key": "{{env.LAKE_API_TOKEN}}"}},
        "AF536",
        "config.key: the environment variable LAKE_API_TOKEN is not set",
        "set it",
    ),
]


@pytest.mark.parametrize(("keys", "code", "message", "hint"), ERRORS)
def test_an_error_names_the_field_and_says_what_to_do(
    keys: dict[str, Any], code: str, message: str, hint: str
) -> None:
    env = {"A": CANARY, "DB_URL": CANARY, "EMPTY": ""}
    with pytest.raises(ConfigError) as raised:
        resolved(resource(**keys), env)
    assert raised.value.message == f"resource 'main': {message}"
    assert (raised.value.code, raised.value.hint) == (code, hint)


def test_a_wrong_template_is_reported_with_its_field() -> None:
    with pytest.raises(ConfigError, match=r"config\.url: Unsupported templating syntax"):
        resolved(resource(config={"url": "{{env.A | upper}}"}))


def test_all_problems_are_reported_at_once() -> None:
    spec = resource(
        config={"a": "{{env.A}}", "b": "{{ b b }}", "c": "{{steps.x}}"},
        options={"d": "{{env.D}}"},
        decode={"config": {"zz": True}},
    )
    with pytest.raises(ConfigError) as raised:
        resolved(spec)
    for word in ("config.a:", "config.b:", "config.c:", "options.d:", "decode.config.zz", "hint:"):
        assert word in raised.value.message


def failing(_value: str) -> str:
    raise ConfigError("secrets.py:3: decode failed: ValueError", hint="run it", code="AF522")


@pytest.mark.parametrize(
    "keys",
    [
        {"config": {"password": CANARY + "{{"}},
        {"config": {"password": "{{" + CANARY + "}}"}},
        {"config": {"auth": {"token": "{{ x | " + CANARY}}},
        {"config": {"x": "{{" + CANARY}, "decode": {"config": {"x": True}}},
        {"config": {"x": CANARY + "{{env.PW}}"}, "decode": {"config": {"x": True}}},
        {"config": {"x": CANARY}, "decode": {"config": {"y": True}}},
        {"config": {"x": "{{env.PW}}", "y": "{{env.MISSING}}"}},
        {"config": {"x": "{{env.PW}}"}, "decode": {"config": {"x": True}}},
        {"config": {"url": f"postgres://u:{CANARY}@h/{{{{env.MISSING}}}}"}},
    ],
)
def test_no_error_ever_holds_a_secret(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(resource(**keys), {"PW": CANARY}, decoder=failing)
    assert CANARY not in raised.value.message + raised.value.hint


def test_a_failing_decoder_is_reported_with_the_field() -> None:
    spec = resource(config={"x": "abc"}, decode={"config": {"x": True}})
    with pytest.raises(ConfigError) as raised:
        resolved(spec, decoder=failing)
    assert raised.value.message == "resource 'main': config.x: secrets.py:3: decode failed: ValueError"
    assert (raised.value.code, raised.value.hint) == ("AF522", "run it")


@pytest.mark.parametrize(
    ("keys", "secrets"),
    [
        ({"config": {"password": "literal-one"}}, ["literal-one"]),
        ({"config": {"auth": {"api_key": "{{env.K}}"}}}, ["key-of-env"]),
        ({"options": {"token": ["a-token", "b-token"]}}, ["a-token", "b-token"]),
        ({"config": {"x": "terces-a"}, "decode": {"config": {"x": True}}}, ["a-secret", "terces-a"]),
        ({"config": {"url": "postgres://u:p%40ss-word@h/d"}}, ["p%40ss-word", "p@ss-word"]),
        ({"config": {"url": "postgres://u:{{env.K}}@h/d"}}, ["key-of-env"]),
        ({"config": {"line": "Bearer {{env.DB_TOKEN}}"}}, ["token-of-env"]),
        ({"config": {"line": "Bearer {{env.OTHER_TOKEN:default-token}}"}}, ["default-token"]),
    ],
)
def test_every_secret_is_known_to_the_redactor(keys: dict[str, Any], secrets: list[str]) -> None:
    redactor = Redactor()
    resolved(resource(**keys), {"K": "key-of-env", "DB_TOKEN": "token-of-env"}, redactor=redactor)
    for secret in secrets:
        assert redactor.text(f"<{secret}>") == "<***>"


def test_what_is_no_secret_is_not_masked() -> None:
    redactor = Redactor()
    resolved(
        resource(config={"url": "{{env.HOST}}", "user": "etl-user"}), {"HOST": "db-host"}, redactor=redactor
    )
    assert redactor.text("db-host etl-user") == "db-host etl-user"
