from __future__ import annotations

from textwrap import dedent

import pytest

from aetherflow.config.resource_check import MissingVariable, check_resource, missing_variables
from aetherflow.config.secrets_provider import Decoder
from aetherflow.errors import Diagnostic
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, parse_document
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


def resource_of(text: str) -> tuple[ResourceSpec, Document]:
    """Read the keys of one resource, `main`, whose kind and driver stand on lines 3 and 4."""
    body = "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())
    document = parse_document(f"resources:\n  main:\n    kind: db\n    driver: x\n{body}", "flow.yaml")
    spec, diagnostics = decode(document, ResourceSpec, ("resources", "main"))
    assert spec is not None, diagnostics
    return spec, document


def checked(
    text: str,
    env: dict[str, str] | None = None,
    profiles: dict[str, ProfileSpec] | None = None,
    decoder: Decoder | None = None,
    provider: str = "",
) -> list[Diagnostic]:
    spec, document = resource_of(text)
    return check_resource(
        "main", spec, profiles, env or {}, document=document, decoder=decoder, provider=provider
    )


def test_a_sound_resource_has_no_findings() -> None:
    text = """
        config: {url: "{{env.DB_URL}}", password: "{{env.PW}}", level: HIGH, path: /PATH}
        decode: {config: {password: true}}
    """
    assert checked(text, {"DB_URL": "x", "PATH": "/bin"}, decoder=str) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "config:\n  url: '{{steps.a}}'",
            "flow.yaml:6:7: error[AF535]: resource 'main': config.url: a resource",
        ),
        (
            "config:\n  pw: x\ndecode:\n  config:\n    pww: true",
            "flow.yaml:9:9: error[AF531]: resource 'main': dec",
        ),
        (
            "config:\n  pw: x\ndecode:\n  config_paths: [pw, px]",
            "flow.yaml:8:26: error[AF531]: resource 'main'",
        ),
        (
            "options:\n  hosts: [a, '{{']",
            "flow.yaml:6:18: error[AF401]: resource 'main': options.hosts.1: Unsup",
        ),
        ("profile: nope", "flow.yaml:5:5: error[AF533]: resource 'main' names an unknown profile 'nope'"),
    ],
)
def test_an_error_has_its_place_in_the_flow_file(text: str, expected: str) -> None:
    (diagnostic,) = checked(text, profiles={"db": ProfileSpec()}, decoder=str)
    assert str(diagnostic).startswith(expected)


def test_what_a_profile_brings_is_reported_where_it_is_named() -> None:
    profiles = {"db": ProfileSpec(config={"url": "{{params.x}}"}, decode={"config": {"zz": True}})}
    diagnostics = checked("config: {a: 1}\nprofile: db", profiles=profiles, decoder=str)
    assert [(diagnostic.line, diagnostic.column) for diagnostic in diagnostics] == [(6, 5), (6, 5)]
    assert all("(from profile db)" in diagnostic.message for diagnostic in diagnostics)


def test_a_profile_without_a_profiles_file_is_reported_with_the_variable_to_set() -> None:
    (diagnostic,) = checked("profile: db", profiles=None)
    assert diagnostic.code == "AF534"
    assert "AETHERFLOW_PROFILES_FILE" in diagnostic.hint


@pytest.mark.parametrize("section", ["config", "options"])
def test_a_bare_variable_name_is_a_warning_that_shows_the_right_form(section: str) -> None:
    (diagnostic,) = checked(f"{section}:\n  db:\n    url: DB_URL", {"DB_URL": "postgres://canary"})
    assert diagnostic == Diagnostic(
        code="AF537",
        message=f"resource 'main': {section}.db.url is the text 'DB_URL', "
        "which is also the name of a variable that is set",
        file="flow.yaml",
        line=7,
        column=9,
        severity="warning",
        hint="write '{{env.DB_URL}}' to take the value of the variable",
    )


@pytest.mark.parametrize("value", ["db_url", "UNSET", "DB_URL.x", "'{{env.DB_URL}}'", "5"])
def test_other_texts_are_no_variable_names(value: str) -> None:
    assert checked(f"config: {{url: {value}}}", {"DB_URL": "x", "db_url": "x", "5": "x"}) == []


def test_fields_to_decode_without_a_provider_are_a_warning() -> None:
    (diagnostic,) = checked("config: {pw: x, key: y}\ndecode: {config: {pw: true, key: true}}")
    assert diagnostic.severity == "warning"
    assert diagnostic.message == (
        "resource 'main': no secrets provider is set: config.pw, config.key will be used without decoding"
    )
    assert (diagnostic.line, diagnostic.code) == (6, "AF538")


def test_fields_to_decode_with_a_provider_that_cannot_are_an_error() -> None:
    (diagnostic,) = checked("config: {pw: x}\ndecode: {config: {pw: true}}", provider="set_envs.py")
    assert (diagnostic.severity, diagnostic.code, diagnostic.line) == ("error", "AF521", 6)
    assert (
        diagnostic.message == "resource 'main': set_envs.py has no function `decode`, which config.pw needs"
    )


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("config: {pw: {secret: 5}}", "5:14", "config.pw: `secret` is not a text", "write {secret:"),
        (
            "config: {pw: {secret: hunter2}}",
            "5:14",
            "config.pw: this names no secret: it begins",
            "write {secret:",
        ),
        (
            "config: {pw: {secret: 'fiel:/x'}}",
            "5:14",
            "config.pw: this names no secret",
            "did you mean 'file'?",
        ),
        (
            "config: {pw: {secret: 'file:'}}",
            "5:14",
            "config.pw: this names no secret: nothing follows file:",
            "",
        ),
        (
            "config: {pw: {secret: 'env:A B'}}",
            "5:14",
            "config.pw: this names no secret: env: is followed by",
            "",
        ),
        ("config: {pw: {secret: 'keyring:x'}}", "5:14", "config.pw: this names no secret: keyring: is", ""),
        (
            'config: {pw: {secret: "command:a \'b"}}',
            "5:14",
            "config.pw: this names no secret: a quote in",
            "",
        ),
        (
            "config: {pw: {secret: 'file:/x', user: u}}",
            "5:19",
            "config.pw.secret names a secret, but has other",
            "a map",
        ),
        (
            "options: {cache: forever}",
            "5:15",
            "options.cache cannot be 'forever'",
            "options.cache is one of run,",
        ),
    ],
)
def test_the_shape_of_a_secret_and_of_the_cache_is_checked(
    text: str, place: str, message: str, hint: str
) -> None:
    (diagnostic,) = checked(text)
    assert str(diagnostic).startswith(f"flow.yaml:{place}: error[AF5")
    assert diagnostic.message.startswith(f"resource 'main': {message}")
    assert diagnostic.hint.startswith(hint)
    assert "hunter2" not in str(diagnostic)


@pytest.mark.parametrize(
    "text",
    [
        "config: {pw: {secret: 'file:/run/secrets/db'}}",
        "config: {pw: {secret: 'file:{{env.DIR:/run}}/db'}}",
        "config: {pw: {secret: '{{env.WHERE:file:/x}}'}}",
        "config: {pw: {secret: 'command:pass show {{env.DIR:x}}'}}",
        "config: {pw: {secret: 'keyring:https://vault/x/etl'}}",
        "config: {pw: {secret: \"command:pass show '{{env.DIR:a b}}'\"}}",
        "config: {pw: {secret: plain, id: five}}",
        "config: {secret: plain}",
        "options: {cache: none}",
        "options: {cache: '{{env.CACHE:run}}'}",
    ],
)
def test_what_is_right_or_not_yet_known_is_not_complained_about(text: str) -> None:
    assert checked(text) == []


def test_a_template_in_a_command_that_is_cut_into_words_is_reported() -> None:
    (diagnostic,) = checked("config: {pw: {secret: 'command:pass show {{env.DIR:a b}}'}}")
    assert diagnostic.code == "AF570"
    assert diagnostic.message.endswith("a template in a command has spaces: put the word into quotes")


def test_a_secret_in_a_variable_that_is_not_set_is_a_missing_variable() -> None:
    spec, _ = resource_of("""
        config: {pw: {secret: "env:DB_PASSWORD"}, other: {secret: "file:/nowhere"}, set: {secret: "env:SET"}}
    """)
    assert missing_variables("main", spec, {}, {"SET": "x"}) == [
        MissingVariable("config.pw", "DB_PASSWORD", ("config", "pw"))
    ]


def test_missing_variables_are_listed_with_their_field() -> None:
    spec, _ = resource_of("""
        profile: db
        config: {a: "{{env.A}}-{{env.B}}", b: ["{{env.SET}}", "{{env.C:default}}", "{{env.EMPTY}}"]}
    """)
    profiles = {"db": ProfileSpec(options={"o": "{{env.O}}"})}
    assert missing_variables("main", spec, profiles, {"SET": "x", "EMPTY": ""}) == [
        MissingVariable("config.a", "A", ("config", "a")),
        MissingVariable("config.a", "B", ("config", "a")),
        MissingVariable("config.b.2", "EMPTY", ("config", "b", 2)),
        MissingVariable("options.o", "O", ("profile",)),
    ]
