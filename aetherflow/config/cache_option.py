"""Read `options.cache` of a resource: which steps share its connector. The settings hold the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from aetherflow.config.settings import Settings
from aetherflow.errors import ConfigError

CacheScope = Literal["run", "process", "none"]
CACHE_OPTION = "cache"
HINT = f"options.cache is one of {', '.join(get_args(CacheScope))}"
_SCOPES: dict[object, CacheScope] = {scope: scope for scope in get_args(CacheScope)}


def split_cache(
    resource: str, options: Mapping[str, Any], settings: Settings
) -> tuple[CacheScope, dict[str, Any]]:
    """Return the cache scope of a resource, and its options without the key `cache`.

    Raises:
        ConfigError: `options.cache` is none of the allowed words.
    """
    rest = dict(options)
    asked = rest.pop(CACHE_OPTION, None)
    if asked is not None and not is_cache_scope(asked):
        message = f"resource {resource!r}: options.cache cannot be {asked!r}"
        raise ConfigError(message, hint=HINT, code="AF513")
    if settings.connector_cache_disabled:
        return "none", rest
    return (settings.connector_cache_default if asked is None else _SCOPES[asked]), rest


def is_cache_scope(value: object) -> bool:
    """Whether a value is one of the words that `options.cache` may have."""
    return isinstance(value, str) and value in _SCOPES
