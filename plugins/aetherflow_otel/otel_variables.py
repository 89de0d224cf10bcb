"""Read the standard `OTEL_*` variables from the environment of a run; `os.environ` is not read.

The names and defaults are those of the OpenTelemetry specification ("Environment Variable Specification" and
"OpenTelemetry Protocol Exporter"). A variable that is empty counts as not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote

from aetherflow import ConfigError

Signal = Literal["traces", "logs"]
EXPORTERS = ("otlp", "console", "none")
PROTOCOL = "http/protobuf"
COMPRESSIONS = ("none", "gzip", "deflate")
SAMPLERS = ("always_on", "always_off", "traceidratio")
PARENT_BASED = "parentbased_"


class Otlp(NamedTuple):
    """Where records of a signal are sent, and how.

    Attributes:
        timeout_seconds: of one batch, with its repetitions.
        certificate: the file with the certificates that are trusted; empty: those of the system.
        client_certificate, client_key: the files with which the sender shows who it is.
    """

    endpoint: str
    headers: Mapping[str, str]
    compression: str
    timeout_seconds: float
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""


class Sampler(NamedTuple):
    """Which traces are exported: all, none or a share; with `follows_parent` as an outer trace says."""

    ratio: float
    follows_parent: bool


class Batching(NamedTuple):
    """How many records are sent at once, after which time at the latest, and how many may wait."""

    size: int
    delay_seconds: float
    most_waiting: int


class OtelVariables:
    """The variables of one environment.

    Args:
        env: the environment of a run.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    @property
    def is_disabled(self) -> bool:
        """Whether nothing is to be exported (`OTEL_SDK_DISABLED`)."""
        return self._text("OTEL_SDK_DISABLED").lower() == "true"

    def exporters(self, signal: Signal) -> list[str]:
        """Return the exporters of a signal: traces go to `otlp` by default, logs nowhere.

        Raises:
            ConfigError: there is no such exporter.
        """
        name = f"OTEL_{signal.upper()}_EXPORTER"
        text = self._text(name) or ("otlp" if signal == "traces" else "none")
        names = [part.strip() for part in text.split(",") if part.strip()]
        for one in names:
            if one not in EXPORTERS:
                raise _refused(name, one, EXPORTERS)
        return [one for one in dict.fromkeys(names) if one != "none"]

    def otlp(self, signal: Signal) -> Otlp:
        """Return where a signal is sent; the variables of the signal win over the common ones.

        Raises:
            ConfigError: a value is not allowed.
        """
        protocol = self._otlp(signal, "PROTOCOL") or PROTOCOL
        if protocol != PROTOCOL:
            raise _refused("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, (PROTOCOL,))
        compression = self._otlp(signal, "COMPRESSION") or "none"
        if compression not in COMPRESSIONS:
            raise _refused("OTEL_EXPORTER_OTLP_COMPRESSION", compression, COMPRESSIONS)
        base = self._text("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
        own = self._text(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        return Otlp(
            endpoint=own or f"{base.removesuffix('/')}/v1/{signal}",
            headers=self._headers(self._name(signal, "HEADERS")),
            compression=compression,
            timeout_seconds=self._number(self._name(signal, "TIMEOUT"), 10, least=0.001),
            certificate=self._otlp(signal, "CERTIFICATE"),
            client_certificate=self._otlp(signal, "CLIENT_CERTIFICATE"),
            client_key=self._otlp(signal, "CLIENT_KEY"),
        )

    def batching(self, signal: Signal) -> Batching:
        """Return how a signal is batched.

        Raises:
            ConfigError: a value is not allowed.
        """
        prefix = "OTEL_BSP" if signal == "traces" else "OTEL_BLRP"
        delay = 5000 if signal == "traces" else 1000
        return Batching(
            int(self._number(f"{prefix}_MAX_EXPORT_BATCH_SIZE", 512, least=1)),
            self._number(f"{prefix}_SCHEDULE_DELAY", delay, least=0) / 1000,
            int(self._number(f"{prefix}_MAX_QUEUE_SIZE", 10_000, least=1)),
        )

    def sampler(self) -> Sampler:
        """Return which traces are exported.

        Raises:
            ConfigError: there is no such sampler.
        """
        name = self._text("OTEL_TRACES_SAMPLER") or f"{PARENT_BASED}always_on"
        kind = name.removeprefix(PARENT_BASED)
        if kind not in SAMPLERS:
            allowed = [*SAMPLERS, *(f"{PARENT_BASED}{one}" for one in SAMPLERS)]
            raise _refused("OTEL_TRACES_SAMPLER", name, allowed)
        ratio = {"always_on": 1.0, "always_off": 0.0}.get(kind)
        if ratio is None:
            ratio = min(self._number("OTEL_TRACES_SAMPLER_ARG", 1, least=0), 1)
        return Sampler(ratio, name.startswith(PARENT_BASED))

    def resource(self) -> dict[str, str]:
        """Return the attributes of what sends: `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`."""
        found = {"service.name": "aetherflow"} | _pairs(self._text("OTEL_RESOURCE_ATTRIBUTES"))
        name = self._text("OTEL_SERVICE_NAME")
        return found | {"service.name": name} if name else found

    def _text(self, name: str) -> str:
        return self._env.get(name, "").strip()

    def _name(self, signal: Signal, key: str) -> str:
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{key}"
        return own if self._text(own) else f"OTEL_EXPORTER_OTLP_{key}"

    def _otlp(self, signal: Signal, key: str) -> str:
        return self._text(self._name(signal, key))

    def _headers(self, name: str) -> dict[str, str]:
        text = self._text(name)
        for number, part in enumerate(text.split(","), start=1):
            if part.strip() and not part.partition("=")[1]:  # it is not shown: it may be half a secret
                raise ConfigError(
                    f"{name}: its part {number} is not written as name=value; a comma in a value is %2C",
                    hint="correct the variable",
                )
        return _pairs(text)

    def _number(self, name: str, default: float, *, least: float) -> float:
        text = self._text(name)
        try:
            number = float(text or default)
        except ValueError:
            number = float("nan")
        if not least <= number < float("inf"):
            raise _refused(name, text, [f"a number from {least:g} on"])
        return number


def _pairs(text: str) -> dict[str, str]:
    """Return `key=value,key=value`, as W3C Baggage writes it; what is no pair is left out."""
    found = {}
    for part in text.split(","):
        key, is_pair, value = part.partition("=")
        if is_pair and key.strip():
            found[unquote(key.strip())] = unquote(value.strip())
    return found


def _refused(name: str, value: str, allowed: tuple[str, ...] | list[str]) -> ConfigError:
    return ConfigError(f"{name} is {value!r}; allowed: {', '.join(allowed)}", hint="correct the variable")
