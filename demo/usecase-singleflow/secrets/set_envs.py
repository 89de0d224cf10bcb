"""A secrets provider, as small as it can be: AETHERFLOW_SECRETS_PATH names this file.

A real one would ask a vault. Both functions are optional.
"""

import base64


def expand_env(env: dict[str, str]) -> dict[str, str]:
    """Return variables to add to the environment of the run; what is set already stays."""
    return {"DEMO_REGION": env.get("DEMO_REGION", "local")}


def decode(value: str) -> str:
    """Return the plain text of a value that a profile marks with `decode`: here, base64."""
    return base64.b64decode(value, validate=True).decode()
