"""Check the resources of a flow or of a bundle: connectors, profiles, secrets, variables that are not set."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.config.archive_drivers import driver_refused
from aetherflow.config.environment import Environment
from aetherflow.config.prepared_resource import prepare_resource
from aetherflow.config.resource_check import check_resource, missing_variables
from aetherflow.config.resources import register_known
from aetherflow.config.restrictions import Restrictions
from aetherflow.config.secret_fields import SecretField, secret_fields
from aetherflow.errors import AetherFlowError, Diagnostic, Severity
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.redaction import Redactor
from aetherflow.registry import Registry
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


def check_resources(
    resources: Mapping[str, ResourceSpec],
    sink: DiagnosticSink,
    environment: Environment,
    profiles: dict[str, ProfileSpec] | None,
    registry: Registry,
    restrictions: Restrictions,
    redactor: Redactor,
    severity: Severity,
    *,
    found_secrets: list[SecretField],
) -> list[Diagnostic]:
    """Check each resource with its profile, and return the diagnostics about variables that are not set.

    Fields whose secrets must be fetched are added to `found_secrets`.
    """
    env, secrets = environment.variables, environment.secrets
    unset: list[Diagnostic] = []
    for name, spec in resources.items():
        _check_driver(name, spec, registry, restrictions, sink)
        found = check_resource(
            name,
            spec,
            profiles,
            env,
            document=sink.document,
            decoder=secrets.decoder if secrets else None,
            provider=secrets.source.origin if secrets else "",
            shapes=registry.connector_shapes(spec.connector),
        )
        sink.diagnostics += found
        if any(d.severity == "error" for d in found):
            continue
        prepared = prepare_resource(name, spec, profiles)
        register_known(prepared, env, redactor)
        found_secrets += secret_fields(name, prepared, env, can_decode=secrets is not None)
        others = len(sink.diagnostics)
        for missing in missing_variables(name, spec, profiles, env):
            sink.add(
                ("resources", name, *missing.path),
                "AF536",
                f"resource {name!r}: {missing.field} needs the environment variable {missing.variable}, "
                "which is not set",
                f"set {missing.variable} before the run",
                severity,
            )
        unset += sink.diagnostics[others:]
    return unset


def _check_driver(
    name: str, spec: ResourceSpec, registry: Registry, restrictions: Restrictions, sink: DiagnosticSink
) -> None:
    """Refuse a driver that the mode does not allow."""
    try:
        found = registry.connector_class(spec.connector)
    except AetherFlowError:
        return  # reported at its driver
    allowed = restrictions.zip_drivers
    if allowed is not None and found.restricted_by == "zip_drivers" and spec.driver not in allowed:
        message, hint = driver_refused(spec.driver, allowed)
        sink.add(("resources", name, "driver"), "AF872", message, hint)
