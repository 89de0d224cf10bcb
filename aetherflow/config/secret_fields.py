"""List the fields of a resource whose secret is known only when it is fetched or decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from aetherflow.config.prepared_resource import PreparedResource, known_secrets
from aetherflow.config.resource_fields import FieldPath, field_name
from aetherflow.config.resources import known_values, register_values
from aetherflow.config.secret_reference import SecretReference
from aetherflow.redaction import Redactor


class SecretField(msgspec.Struct, frozen=True):
    """A field of a resource with a secret that the environment does not show.

    Attributes:
        source: where the secret is, or the text that is decoded to it.
        is_decoded: whether what is there goes through `decode` of the secrets provider.
    """

    resource: str
    field: FieldPath
    source: SecretReference | str
    is_decoded: bool

    def __str__(self) -> str:
        return f"resource {self.resource!r}: {field_name(self.field)}"

    def register(self, value: str, redactor: Redactor) -> None:
        """Register a value of this field, and the password if it is a URL."""
        redactor.add(value)
        register_values({str(self.field[-1]): value}, redactor)


def secret_fields(
    name: str, prepared: PreparedResource, env: Mapping[str, str], *, can_decode: bool
) -> Iterator[SecretField]:
    """Yield the fields that must be fetched or decoded; those that cannot be opened anyway are left out.

    A variable that is not set stays so while the run lasts: its resource never opens.
    """
    decoded = prepared.decoded if can_decode else ()
    for path, reference in known_secrets(prepared, env).items():
        if reference.provider != "env":
            yield SecretField(name, path, reference, is_decoded=path in decoded)
        elif path in decoded and (value := env.get(reference.name)):
            yield SecretField(name, path, value, is_decoded=True)
    if decoded:
        values = known_values(prepared, env)
        for path in decoded:
            value = values.get(path)
            if isinstance(value, str) and value:
                yield SecretField(name, path, value, is_decoded=True)
