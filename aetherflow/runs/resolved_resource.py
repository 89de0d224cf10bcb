"""Resolve a resource of a flow: merged with its profile, rendered, with its secrets, its paths absolute."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aetherflow.config.cache_option import split_cache
from aetherflow.config.environment import Environment
from aetherflow.config.resources import resolve_resource
from aetherflow.config.value_providers import Known, nothing_known
from aetherflow.errors import ConfigError
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.resource_paths import with_absolute_paths
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


def resolve(
    checked: CheckedFlow,
    name: str,
    *,
    mark: Callable[[], Mapping[str, str]] = dict,
    warn: Callable[[str], None] | None = None,
    known: Known = nothing_known,
) -> Resource:
    """Return a resource of the flow as its connector gets it: merged, rendered, secrets fetched and decoded.

    Blocking: a secret may come from a file, a program or a vault. A program gets the variables of `mark`;
    `warn` is called with what is doubtful; what is `known` is not fetched again.

    Raises:
        ConfigError: it is not declared, or its profile, a template, a secret or a decode rule cannot be
            resolved.
    """
    spec = checked.plan.resources.get(name)
    if spec is None:
        names = ", ".join(checked.plan.resources) or "none"
        raise ConfigError(f"the flow has no resource {name!r}", hint=f"it has {names}", code="AF550")
    return resolved_resource(
        name,
        spec,
        checked.environment,
        checked.profiles,
        checked.redactor,
        mark=mark,
        warn=warn,
        known=known,
        connector_class=checked.registry.connector_class,
    )


def resolved_resource(
    name: str,
    spec: ResourceSpec,
    environment: Environment,
    profiles: Mapping[str, ProfileSpec] | None,
    redactor: Redactor,
    *,
    connector_class: Callable[[str], type[Connector]],
    mark: Callable[[], Mapping[str, str]] = dict,
    warn: Callable[[str], None] | None = None,
    known: Known = nothing_known,
) -> Resource:
    """Return a resource as its connector gets it, with absolute paths; see `resolve`.

    Raises:
        ConfigError: its profile, a template, a secret or a decode rule cannot be resolved.
    """
    resolved = resolve_resource(
        name,
        spec,
        profiles,
        environment.variables,
        decoder=environment.secrets.decode if environment.secrets else None,
        redactor=redactor,
        strict=environment.settings.strict_templates,
        mark=mark,
        warn=warn,
        known=known,
    )
    cache, options = split_cache(name, resolved.options, environment.settings)
    connector = connector_class(f"{resolved.kind}:{resolved.driver}")
    home = environment.variables.get("HOME", "")
    config = with_absolute_paths(name, spec, profiles, connector, resolved.config, home)
    return Resource(name, resolved.kind, resolved.driver, config, options, cache)
