"""The names of the streams that the scribe keeps."""

from __future__ import annotations

STDOUT = "stdout"
STDERR = "stderr"
APP_STREAMS = (STDOUT, STDERR)
# Output of agent and shipper.
SIDECAR = "sidecar"
# The journal.
EVENTS = "events"
# What the app posts to POST /v1/logs; the agent hands it in by a socket that keeps its messages whole.
API = "api"
STREAMS = (*APP_STREAMS, SIDECAR, EVENTS, API)
# What the app says, by whichever door: one quota, and the same ring and policy for each.
SAID = (*APP_STREAMS, API)
# Of a message into API at most: a quarter of a slab of the ring, into which it goes in one piece.
MESSAGE_BYTES = 64 << 10
