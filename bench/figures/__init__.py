"""Every figure, in the order in which they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import (
    agent_kill,
    ambassador,
    ambassador_bodies,
    ambassador_idle,
    ambassador_stream,
    ambassador_tls,
    api_read,
    config_read,
    config_watch,
    config_write,
    discovery,
    disk_hang,
    idle_host,
    offload,
    proxy_change,
    scribe_cpu,
    shipping,
    sidecar_idle,
    start,
    supervision,
    upgrade,
)

if TYPE_CHECKING:
    from bench.figure import Figure

FIGURES: tuple[Figure, ...] = (
    start.FIGURE,
    supervision.FIGURE,
    sidecar_idle.FIGURE,
    disk_hang.FIGURE,
    scribe_cpu.FIGURE,
    agent_kill.FIGURE,
    upgrade.FIGURE,
    api_read.FIGURE,
    config_read.FIGURE,
    config_write.FIGURE,
    config_watch.FIGURE,
    discovery.FIGURE,
    idle_host.FIGURE,
    shipping.FIGURE,
    ambassador.FIGURE,
    ambassador_bodies.FIGURE,
    ambassador_tls.FIGURE,
    ambassador_idle.FIGURE,
    ambassador_stream.FIGURE,
    proxy_change.FIGURE,
    offload.FIGURE,
)
