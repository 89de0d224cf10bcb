"""The rule for names of secrets, tried with real names of both kinds."""

from __future__ import annotations

import pytest

from aetherflow.redaction import names_a_secret
from tests.redaction.real_names import OTHERS, SECRETS, names


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "passwd",
        "passphrase",
        "db_password",
        "DB_PASSWORD",
        "PGPASSWORD",
        "dbpassword",
        "db.password",
        "secret",
        "client-secret",
        "clientSecret",
        "token",
        "access_token",
        "tokens",
        "api_key",
        "apikey",
        "apiKey",
        "X-Api-Key",
        "private_key",
        "secret_key_token",
        "Authorization",
        "credentials",
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_keys_that_name_a_secret(key: str) -> None:
    assert names_a_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "user",
        "path",
        "bypass",
        "compass",
        "passenger",
        "secretary",
        "tokenizer",
        "key",
        "primary_key",
        "password_file",
        "token_count",
        "max_tokens",
        "max-tokens",
        "maxTokens",
        "secret_name",
        "api_key_id",
        "PGPASSFILE",
        "PWD",
    ],
)
def test_keys_that_name_no_secret(key: str) -> None:
    assert not names_a_secret(key)


def test_the_secrets_of_public_projects_are_known_by_their_names() -> None:
    assert len(set(names(SECRETS))) >= 100
    assert [name for name in names(SECRETS) if not names_a_secret(name)] == []


def test_names_of_public_projects_that_only_sound_like_secrets_are_not() -> None:
    assert len(set(names(OTHERS))) >= 100
    assert [name for name in names(OTHERS) if names_a_secret(name)] == []


@pytest.mark.parametrize(
    "spelled", ["client_secret", "CLIENT-SECRET", "clientSecret", "Client.Secret", "ClientSecret2"]
)
def test_a_name_is_read_as_words_however_it_is_written(spelled: str) -> None:
    assert names_a_secret(spelled)


def test_a_text_that_is_no_name_names_nothing() -> None:
    assert not names_a_secret("password " * 100)
