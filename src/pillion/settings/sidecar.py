"""What a user can say about the sidecar's own processes and their local API."""

from pillion.settings.kinds import Flag
from pillion.settings.limits import Limits
from pillion.settings.quantities import Duration
from pillion.settings.record import INSTANCE, Record, setting
from pillion.settings.references import Listen
from pillion.settings.shapes import Table

SIDECAR_LIMITS = Limits(memory_bytes=128 << 20)
"""A sidecar must not take the memory that the app needs; it uses about a quarter of this."""


class Agent(Record):
    """The process that serves the local API and decides."""

    wait_s: float = setting(
        Duration(0, 3600),
        'How long the app\'s start is held until the sidecar is ready; "0s": not at all. After it the app starts anyway.',
        default=10.0,
    )
    required: bool = setting(
        Flag(),
        "Do not start the app at all when the sidecar is not ready within `wait`.",
        default=False,
    )
    limits: Limits = setting(
        Table(SIDECAR_LIMITS), "Upper bounds of the agent.", default=SIDECAR_LIMITS
    )
    heartbeat_s: float = setting(
        Duration(0.1, 60),
        "How often the agent shows that it lives. One that misses two is replaced.",
        default=12.0,
        restart="agent",
    )
    drain_s: float = setting(
        Duration(0, 3600),
        "How long requests under way may take when the agent is stopped or upgraded.",
        default=10.0,
    )


class Shipper(Record):
    """The process that reads the spool and ships."""

    limits: Limits = setting(
        Table(SIDECAR_LIMITS), "Upper bounds of the shipper.", default=SIDECAR_LIMITS
    )
    heartbeat_s: float = setting(
        Duration(0.1, 60),
        "How often the shipper shows that it lives. One that misses two is replaced.",
        default=12.0,
        restart="shipper",
    )
    drain_s: float = setting(
        Duration(0, 3600),
        "How long the last shipping may take when the shipper is stopped or upgraded. The rest stays in the spool.",
        default=10.0,
    )


class Api(Record):
    """Where the local API listens, beside the Unix socket that it always has."""

    listen: str | None = setting(
        Listen(),
        'TCP address of the local API; port 0 takes any free one, "off" leaves the Unix socket alone.',
        default="127.0.0.1:0",
        restart=INSTANCE,
    )
    probe_listen: str | None = setting(
        Listen(),
        "A further address with /livez, /readyz and the app's health alone, without a token: for a kubelet or a load balancer.",
        default=None,
        restart=INSTANCE,
        example="0.0.0.0:9901",
    )
