"""The names of the streams that the scribe keeps."""

from __future__ import annotations

STDOUT = "stdout"
STDERR = "stderr"
APP_STREAMS = (STDOUT, STDERR)
# Output of agent and shipper.
SIDECAR = "sidecar"
# The journal.
EVENTS = "events"
STREAMS = (*APP_STREAMS, SIDECAR, EVENTS)
