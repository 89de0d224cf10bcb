"""Read the standard OpenLineage configuration from the environment of a run; `os.environ` is not read.

Sources, as the Python client has them (https://openlineage.io/docs/client/python): `OPENLINEAGE_DISABLED`;
`OPENLINEAGE__TRANSPORT__...`, over the file of `OPENLINEAGE_CONFIG`, `openlineage.yml` in the working
directory, or `~/.openlineage/openlineage.yml`; else `OPENLINEAGE_URL`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aetherflow import ConfigError

PREFIX = "OPENLINEAGE__"
FILE = "openlineage.yml"


def transport_config(env: Mapping[str, str], folder: Path) -> dict[str, Any] | None:
    """Return the configuration of the transport; None: OpenLineage is disabled.

    Args:
        env: the environment of the run.
        folder: the working directory.

    Raises:
        ConfigError: the file cannot be read, its transport is no mapping, or nothing says where events go.
    """
    if env.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return None
    config = _merged(_of_file(env, folder), _of_variables(env))
    found: dict[str, Any] = config.get("transport") or {}
    if not isinstance(found, dict):
        raise ConfigError(
            f"the OpenLineage transport is {type(found).__name__}, where a mapping is expected",
            hint="write transport: {type: http, url: ...}",
        )
    if found.get("type"):
        return found
    if url := env.get("OPENLINEAGE_URL", "").strip():
        simple: dict[str, Any] = {
            "type": "http",
            "url": url,
            "endpoint": env.get("OPENLINEAGE_ENDPOINT", "").strip() or "api/v1/lineage",
        }
        if key := env.get("OPENLINEAGE_API_KEY", "").strip():
            simple["auth"] = {"type": "api_key", "apiKey": key}
        return simple
    raise ConfigError(
        f"nothing says where OpenLineage events go: set OPENLINEAGE_URL, or write a transport into {FILE}"
    )


def _of_file(env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    named = env.get("OPENLINEAGE_CONFIG", "").strip()
    home = Path(env["HOME"], ".openlineage", FILE) if env.get("HOME") else None
    candidates = [Path(named)] if named else [folder / FILE, *([home] if home else [])]
    path = next((one for one in candidates if named or one.is_file()), None)
    if path is None:
        return {}
    try:
        read = yaml.safe_load((folder / path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="correct the file, or its name") from None
    if not isinstance(read, dict):
        raise ConfigError(f"{path} is no mapping", hint="write transport: {type: http, url: ...}")
    return read


def _of_variables(env: Mapping[str, str]) -> dict[str, Any]:
    """Return `OPENLINEAGE__A__B=value` as `{a: {b: value}}`; a value that is JSON counts as JSON."""
    found: dict[str, Any] = {}
    for name in sorted(env, reverse=True):  # what stands further up wins
        if not name.startswith(PREFIX):
            continue
        *above, last = name.removeprefix(PREFIX).lower().split("__")
        place = found
        for part in above:
            inner = place.setdefault(part, {})
            place = inner if isinstance(inner, dict) else {}
        place[last] = _value(env[name])
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return both mappings; `over` wins, key by key."""
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
