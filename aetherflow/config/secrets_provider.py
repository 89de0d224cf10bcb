"""Call the secrets provider: a user's module with `decode(value)` and `expand_env(env)`, both optional."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import msgspec

from aetherflow.config.env_files import value_text
from aetherflow.config.settings import Settings
from aetherflow.config.user_code import UserModule, load_file, load_module
from aetherflow.errors import ConfigError
from aetherflow.spec.suggest import nearest

Decoder = Callable[[str], str]

_FUNCTIONS = ("decode", "expand_env")
_LOADING = "AF520"
_MISSING_FUNCTION = "AF521"
_RAISED = "AF522"
_WRONG_RESULT = "AF523"


class SecretsProvider(msgspec.Struct, frozen=True):
    """The user's module; its two functions report failures with a place and never with a value."""

    source: UserModule

    @property
    def decoder(self) -> Decoder | None:
        """What decodes values, or None if the module only has `expand_env`."""
        return self.decode if self.source.function("decode", _MISSING_FUNCTION) else None

    def decode(self, value: str) -> str:
        """Return the plain text of a value.

        Raises:
            ConfigError: the module has no `decode`, or it raised, or it returned no text.
        """
        function = self.source.function("decode", _MISSING_FUNCTION)
        if function is None:
            message = f"{self.source.origin}: there is no function `decode` ({self.source.variable})"
            hint = "define `def decode(value: str) -> str`, or remove `decode` from the resource"
            raise ConfigError(message, hint=hint, code=_MISSING_FUNCTION)
        result = self.source.call(_RAISED, function, value)
        if not isinstance(result, str):
            raise self.declaration_error(function, "decode", f"returned {_kind(result)}, not text")
        return result

    def expand_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that the module adds to, or changes in, the environment.

        The function may take the environment so far (a copy) or nothing.

        Raises:
            ConfigError: it raised, or what it returned is not a mapping of names to text.
        """
        function = self.source.function("expand_env", _MISSING_FUNCTION)
        if function is None:
            return {}
        arguments = [dict(env)] if _takes_an_argument(function) else []
        result = self.source.call(_RAISED, function, *arguments)
        if not isinstance(result, Mapping):
            problem = f"returned {_kind(result)}, not a mapping of variables"
            raise self.declaration_error(function, "expand_env", problem)
        variables: dict[str, str] = {}
        for name, value in self.source.call(_RAISED, dict, result).items():
            if not isinstance(name, str):
                raise self.declaration_error(function, "expand_env", f"returned a name of type {_kind(name)}")
            if not isinstance(value, str | int | float):
                problem = f"returned {_kind(value)} for {name}, not text"
                raise self.declaration_error(function, "expand_env", problem)
            variables[name] = value_text(value)
        return variables

    def declaration_error(self, function: Callable[..., object], name: str, problem: str) -> ConfigError:
        """Return the error for one of the functions that is not made as it should be."""
        code = getattr(function, "__code__", None)
        place = f"{code.co_filename}:{code.co_firstlineno}" if code else self.source.origin
        message = f"{place}: {name} {problem} ({self.source.variable})"
        hints = {
            "decode": "`decode(value: str) -> str` returns the plain text",
            "expand_env": "`expand_env(env) -> dict[str, str]` returns the variables to add",
        }
        return ConfigError(message, hint=hints[name], code=_WRONG_RESULT)


def load_secrets_provider(settings: Settings) -> SecretsProvider | None:
    """Return the provider that the settings name, or None; the module wins over the path.

    Raises:
        ConfigError: the module or file does not exist, or loading it failed, or it has neither function, or
            one that is no function.
    """
    if settings.secrets_module:
        return _provider_in(load_module(settings.secrets_module, "AETHERFLOW_SECRETS_MODULE", _LOADING))
    if settings.secrets_path:
        return _provider_in(load_file(settings.secrets_path, "AETHERFLOW_SECRETS_PATH", _LOADING))
    return None


def _provider_in(source: UserModule) -> SecretsProvider:
    """Return the provider of a module that has something to provide."""
    provided = [source.function(name, _MISSING_FUNCTION) for name in _FUNCTIONS]
    if not any(provided):
        public = [name for name, value in vars(source.module).items() if inspect.isfunction(value)]
        meant = next((name for name in public if nearest(name, _FUNCTIONS)), "")
        message = f"{source.origin}: there is neither `decode` nor `expand_env` ({source.variable})"
        hint = (
            f"rename `{meant}`" if meant else "define `def decode(value: str) -> str`, or unset the variable"
        )
        raise ConfigError(message, hint=hint, code="AF524")
    provider = SecretsProvider(source)
    decode = provided[0]
    if decode is not None and not _takes_an_argument(decode):
        raise provider.declaration_error(decode, "decode", "takes no value")
    return provider


def _takes_an_argument(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function written in C may have no signature
        return True
    positional = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    }
    return any(parameter.kind in positional for parameter in parameters)


def _kind(value: object) -> str:
    if inspect.iscoroutine(value):
        value.close()  # else Python warns that it was never awaited
        return "a coroutine (it is `async`)"
    return "None" if value is None else type(value).__name__
