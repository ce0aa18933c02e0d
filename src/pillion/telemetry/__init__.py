"""telemetry floor."""
