"""What the templates of a resource see: the environment, and the place of the flow, which is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aetherflow.language.reference import Reference
from aetherflow.spec.flow_place import FILE_VARIABLE, FOLDER_VARIABLE

_OF_FLOW = {"dir": FOLDER_VARIABLE, "file": FILE_VARIABLE}


def resource_scope(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the names that hold in resources and profiles.

    The resource of a bundle source is opened before there is a flow, so it has no `flow`.
    """
    return {"env": env, "flow": {key: env[name] for key, name in _OF_FLOW.items() if name in env}}


def is_of_resource(reference: Reference) -> bool:
    """Whether a resource can know what a reference names."""
    root, *rest = reference.path
    return bool(rest) if root == "env" else root == "flow" and ".".join(rest) in _OF_FLOW
