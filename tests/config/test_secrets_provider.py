from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.config.secrets_provider import SecretsProvider, load_secrets_provider
from aetherflow.config.settings import load_settings
from aetherflow.errors import ConfigError

CANARY = "canary-7f3a9c"


def provider_of(tmp_path: Path, text: str) -> SecretsProvider:
    path = tmp_path / "set_envs.py"
    path.write_text(text, encoding="utf-8")
    provider = load_secrets_provider(load_settings({"HOME": "/h", "AETHERFLOW_SECRETS_PATH": str(path)}))
    assert provider is not None
    return provider


def test_no_setting_means_no_provider() -> None:
    assert load_secrets_provider(load_settings({"HOME": "/h"})) is None


def test_the_module_wins_over_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "af_winning_secrets.py").write_text("def decode(value): return 'module'", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    env = {"AETHERFLOW_SECRETS_MODULE": "af_winning_secrets", "AETHERFLOW_SECRETS_PATH": "/no/such/file.py"}
    provider = load_secrets_provider(load_settings({"HOME": "/h", **env}))
    assert provider is not None
    assert provider.decode("x") == "module"


def test_a_file_is_loaded_without_a_trace_in_the_modules(tmp_path: Path) -> None:
    before = set(sys.modules)
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass _Vault:\n    path: str = ''\n"
        "def decode(value: str) -> str:\n    return value[::-1]\n"
    )
    assert provider_of(tmp_path, text).decode("abc") == "cba"
    assert not [name for name in set(sys.modules) - before if "set_envs" in name or "aetherflow_user" in name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def expand_env(): return {'A': '1'}", {"A": "1"}),
        ("def expand_env(env): return {'A': env['HOME']}", {"A": "/h"}),
        ("def expand_env(env): env['A'] = '1'; return env", {"HOME": "/h", "A": "1"}),
        ("def expand_env(*, prefix=''): return {'A': prefix}", {"A": ""}),
        ("def expand_env(*rest): return {'A': rest[0]['HOME']}", {"A": "/h"}),
        ("class _E:\n  def __call__(self, env): return {'A': '1'}\nexpand_env = _E()", {"A": "1"}),
        ("def expand_env(env): return {'A': 5, 'B': True, 'C': 1.5}", {"A": "5", "B": "true", "C": "1.5"}),
        ("expand_env = None\ndef decode(value): return value", {}),
        ("def decode(value): return value", {}),
    ],
)
def test_expand_env_takes_the_environment_or_nothing(
    tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    env = {"HOME": "/h"}
    assert provider_of(tmp_path, text).expand_env(env) == expected
    assert env == {"HOME": "/h"}


def decode_canary(provider: SecretsProvider) -> object:
    return provider.decode(CANARY)


def expand_canary(provider: SecretsProvider) -> object:
    return provider.expand_env({"SECRET": CANARY})


@pytest.mark.parametrize(
    ("call", "text", "code", "expected"),
    [
        (
            decode_canary,
            "def expand_env(): return {}",
            "AF521",
            "set_envs.py: there is no function `decode`",
        ),
        (
            decode_canary,
            "def decode(value):\n    return _open(value)\ndef _open(value):\n    raise ValueError(value)",
            "AF522",
            "set_envs.py:4: decode failed: ValueError (",
        ),
        (
            decode_canary,
            "import base64\ndef decode(value):\n    return base64.b64decode(value, validate=True).decode()",
            "AF522",
            "set_envs.py:3: decode failed: Error (",
        ),
        (decode_canary, "def decode(value):\n    return {}[value]", "AF522", ":2: decode failed: KeyError ("),
        (
            decode_canary,
            "import sys\ndef decode(value):\n    sys.exit(value)",
            "AF522",
            ":3: decode failed: SystemExit (",
        ),
        (
            decode_canary,
            "def decode(value):\n    import no_such_vault_client",
            "AF522",
            ":2: decode failed: ModuleNotFoundError: no_such_vault_client (",
        ),
        (
            decode_canary,
            "def decode(value):\n    return open('/no/such/' + value).read()",
            "AF522",
            ":2: decode failed: FileNotFoundError: no such file or directory (",
        ),
        (
            expand_canary,
            "def expand_env(env):\n    raise RuntimeError(str(env))",
            "AF522",
            ":2: expand_env failed: RuntimeError (",
        ),
        (decode_canary, "\ndef decode(value):\n    pass", "AF523", ":2: decode returned None, not text"),
        (
            decode_canary,
            "def decode(value):\n    return value.encode()",
            "AF523",
            ":1: decode returned bytes, not text",
        ),
        (
            decode_canary,
            "async def decode(value):\n    return value",
            "AF523",
            ":1: decode returned a coroutine (it is `async`), not text",
        ),
        (
            expand_canary,
            "def expand_env(env):\n    return list(env.values())",
            "AF523",
            ":1: expand_env returned list, not a mapping of variables",
        ),
        (
            expand_canary,
            "def expand_env(env):\n    env['A'] = None\n    return env",
            "AF523",
            ":1: expand_env returned None for A, not text",
        ),
        (
            expand_canary,
            "def expand_env(env):\n    return {1: env['SECRET']}",
            "AF523",
            ":1: expand_env returned a name of type int",
        ),
    ],
)
def test_a_failing_provider_is_reported_by_file_and_line_and_never_by_value(
    tmp_path: Path, call: Callable[[SecretsProvider], object], text: str, code: str, expected: str
) -> None:
    provider = provider_of(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        call(provider)
    assert expected in raised.value.message
    assert str(tmp_path / "set_envs.py") in raised.value.message
    assert "AETHERFLOW_SECRETS_PATH" in raised.value.message
    assert raised.value.code == code
    assert raised.value.hint
    assert CANARY not in raised.value.message + raised.value.hint
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "import no_such_vault_client",
            "set_envs.py:1: loading this module failed: ModuleNotFoundError: no_such",
        ),
        ("\nraise ValueError('canary-7f3a9c')", "set_envs.py:2: loading this module failed: ValueError ("),
        ("A = 1\ndef decode(:", "set_envs.py:2: this is not Python: invalid syntax"),
        ("raise SystemExit('canary-7f3a9c')", "set_envs.py:1: loading this module failed: SystemExit ("),
    ],
)
def test_a_file_that_cannot_be_loaded_is_reported_by_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        provider_of(tmp_path, text)
    assert expected in raised.value.message
    assert raised.value.code == "AF520"
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AETHERFLOW_SECRETS_PATH", "/no/such/file.py", "there is no file '/no/such/file.py'"),
        ("AETHERFLOW_SECRETS_PATH", "/", "there is no file '/'"),
        (
            "AETHERFLOW_SECRETS_MODULE",
            "no_such_package_of_ours.x",
            "there is no module 'no_such_package_of_ours.x'",
        ),
        ("AETHERFLOW_SECRETS_MODULE", "json.no_such_module", "there is no module 'json.no_such_module'"),
    ],
)
def test_a_provider_that_does_not_exist_is_reported_by_its_variable(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_secrets_provider(load_settings({"HOME": "/h", variable: value}))
    assert raised.value.message == f"{variable}: {expected}"
    assert raised.value.code == "AF520"


def test_a_module_that_lacks_something_itself_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "af_needy_secrets.py").write_text("\nimport no_such_vault_client\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        load_secrets_provider(load_settings({"HOME": "/h", "AETHERFLOW_SECRETS_MODULE": "af_needy_secrets"}))
    assert "af_needy_secrets.py:2: loading this module failed" in raised.value.message
    assert "no_such_vault_client" in raised.value.message


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        (
            "",
            "AF524",
            "there is neither `decode` nor `expand_env` (",
            "define `def decode(value: str) -> str`",
        ),
        ("def deocde(value): return value", "AF524", "there is neither", "rename `deocde`"),
        ("decode = None", "AF524", "there is neither", "define"),
        ("decode = 5", "AF521", "`decode` is not a function (", "define `def decode(...)`"),
        ("expand_env = {}", "AF521", "`expand_env` is not a function (", "define `def expand_env(...)`"),
    ],
)
def test_a_module_that_provides_nothing_is_refused_when_it_is_loaded(
    tmp_path: Path, text: str, code: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        provider_of(tmp_path, text)
    assert raised.value.code == code
    assert f"set_envs.py: {message}" in raised.value.message
    assert raised.value.hint.startswith(hint)
    assert "AETHERFLOW_SECRETS_PATH" in raised.value.message


def test_a_decode_that_takes_nothing_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set_envs\.py:1: decode takes no value \(") as raised:
        provider_of(tmp_path, "def decode(): return 'x'")
    assert raised.value.code == "AF523"
    assert provider_of(tmp_path, "def decode(*values): return values[0]").decode("x") == "x"


def test_whether_it_can_decode_is_known_before_a_resource_needs_it(tmp_path: Path) -> None:
    assert provider_of(tmp_path, "def expand_env(): return {}").decoder is None
    decoder = provider_of(tmp_path, "def decode(value): return value[::-1]").decoder
    assert decoder is not None
    assert decoder("abc") == "cba"
