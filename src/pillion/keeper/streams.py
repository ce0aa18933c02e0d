"""The names of the streams that the scribe keeps."""

from __future__ import annotations

STDOUT = "stdout"
STDERR = "stderr"
APP_STREAMS = (STDOUT, STDERR)
# Output of the sidecar's processes.
SIDECAR = "sidecar"
# The journal.
EVENTS = "events"
# What the app posts to POST /v1/logs; the agent hands it in by a socket that keeps its messages whole.
API = "api"
STREAMS = (*APP_STREAMS, SIDECAR, EVENTS, API)
# The ambassador's request log and its spans, a JSON object a line; only where there is an ambassador.
REQUESTS = "requests"
SPANS = "spans"
TRAFFIC = (REQUESTS, SPANS)
# Written in messages of whole lines, by processes of which any may die at any time.
MESSAGES = (API, *TRAFFIC)
# What the app says, by whichever door: one quota, and the same ring and policy for each.
SAID = (*APP_STREAMS, API)
# Of a message at most: a quarter of a slab of the ring, into which it goes in one piece.
MESSAGE_BYTES = 64 << 10
