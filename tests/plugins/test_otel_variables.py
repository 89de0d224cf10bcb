"""The standard OTEL_* variables: what they mean, and what is refused."""

from __future__ import annotations

import pytest
from aetherflow_otel.otel_variables import Batching, OtelVariables, Otlp, Sampler

from aetherflow import ConfigError

BASE = "OTEL_EXPORTER_OTLP"


def test_the_defaults_are_those_of_the_specification() -> None:
    variables = OtelVariables({})

    assert variables.otlp("traces") == Otlp("http://localhost:4318/v1/traces", {}, "none", 10)
    assert variables.exporters("traces") == ["otlp"]
    assert variables.exporters("logs") == []
    assert variables.sampler() == Sampler(1, follows_parent=True)
    assert variables.batching("traces") == Batching(512, 5, 10_000)
    assert variables.resource() == {"service.name": "aetherflow"}
    assert not variables.is_disabled


def test_a_variable_of_a_signal_wins_and_its_endpoint_is_taken_as_it_is() -> None:
    variables = OtelVariables(
        {
            f"{BASE}_ENDPOINT": "https://collector:4318/",
            f"{BASE}_LOGS_ENDPOINT": "https://logs/in",
            f"{BASE}_HEADERS": "a=1, b = %2C ,",
            f"{BASE}_LOGS_HEADERS": "c=3",
            f"{BASE}_TIMEOUT": "4",
            f"{BASE}_CERTIFICATE": "/ca.pem",
            f"{BASE}_COMPRESSION": "gzip",
        }
    )

    traces, logs = variables.otlp("traces"), variables.otlp("logs")
    assert (traces.endpoint, logs.endpoint) == ("https://collector:4318/v1/traces", "https://logs/in")
    assert (traces.headers, logs.headers) == ({"a": "1", "b": ","}, {"c": "3"})
    assert (traces.timeout_seconds, traces.certificate, traces.compression) == (4, "/ca.pem", "gzip")


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("always_off", "", Sampler(0, follows_parent=False)),
        ("parentbased_always_off", "", Sampler(0, follows_parent=True)),
        ("traceidratio", "0.25", Sampler(0.25, follows_parent=False)),
        ("parentbased_traceidratio", "7", Sampler(1, follows_parent=True)),
    ],
)
def test_samplers(name: str, argument: str, expected: Sampler) -> None:
    env = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert OtelVariables(env).sampler() == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (f"{BASE}_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; allowed: http/protobuf"),
        (f"{BASE}_COMPRESSION", "zip", "is 'zip'; allowed: none, gzip, deflate"),
        (f"{BASE}_TIMEOUT", "soon", "OTEL_EXPORTER_OTLP_TIMEOUT is 'soon'; allowed: a number from 0.001 on"),
        (f"{BASE}_TIMEOUT", "nan", "allowed: a number"),
        (f"{BASE}_TIMEOUT", "inf", "allowed: a number"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "is 'zipkin'; allowed: otlp, console, none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "allowed: a number from 1 on"),
    ],
)
def test_what_is_not_allowed_is_refused(name: str, value: str, message: str) -> None:
    variables = OtelVariables({name: value})

    with pytest.raises(ConfigError) as raised:
        _ = variables.otlp("traces"), variables.exporters("traces"), variables.batching("traces")
    assert message in raised.value.message


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ConfigError, match="allowed: always_on, always_off, traceidratio, parentbased_"):
        OtelVariables({"OTEL_TRACES_SAMPLER": "jaeger"}).sampler()


def test_exporters_are_a_list() -> None:
    env = {"OTEL_TRACES_EXPORTER": "console, otlp,console", "OTEL_LOGS_EXPORTER": "none"}
    assert OtelVariables(env).exporters("traces") == ["console", "otlp"]
    assert OtelVariables(env).exporters("logs") == []


def test_the_name_of_the_service_wins_over_the_attributes() -> None:
    env = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,team=b", "OTEL_SERVICE_NAME": "c"}
    assert OtelVariables(env).resource() == {"service.name": "c", "team": "b"}


def test_a_header_that_cannot_be_read_is_refused_without_being_shown() -> None:
    variables = OtelVariables({f"{BASE}_HEADERS": "authorization=Bearer abc,x-key s3cret-value"})

    with pytest.raises(ConfigError) as raised:
        variables.otlp("traces")

    assert raised.value.message == (
        "OTEL_EXPORTER_OTLP_HEADERS: its part 2 is not written as name=value; a comma in a value is %2C"
    )
