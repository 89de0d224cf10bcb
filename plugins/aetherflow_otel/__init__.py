"""OpenTelemetry: a run is a trace, its jobs and the attempts of its steps are spans (the extra `otel`)."""
