"""What a route can say differently from the upstream that it sends to: times and retries, and nothing else of them."""

from __future__ import annotations

from pillion.settings.kinds import Choice, Flag, Whole
from pillion.settings.policies import NONE, RETRY_CONDITIONS, RETRY_SPELLINGS, Retry, Timeouts
from pillion.settings.quantities import Duration
from pillion.settings.record import Record, setting
from pillion.settings.shapes import Strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    R = TypeVar("R", bound=Record)


class RouteTimeouts(Record):
    """What differs from the upstream's `timeout`; None: nothing does. `over` gives what holds."""

    connect_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For a connection, TLS included.",
        default=None,
        example="1s",
    )
    try_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For one try, from the request to the head of the answer.",
        default=None,
        example="2s",
        also=("per_try", "response"),
    )
    idle_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "Without a byte in either direction.",
        default=None,
        example="1m",
    )
    total_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For the whole, all tries and the waits between them.",
        default=None,
        example="5s",
        also=("request", "timeout", "deadline"),
    )

    def over(self, upstream: Timeouts) -> Timeouts:
        """What holds for a request of this route to an upstream with these."""
        return _over(self, upstream)


class RouteRetry(Record):
    """What differs from the upstream's `retry`; None: nothing does. `over` gives what holds."""

    attempts: int | None = setting(
        Whole(0, 10, optional=True),
        "Further tries after the first; 0: none.",
        default=None,
        example=2,
        also=("retries", "num_retries", "count", "tries"),
    )
    on: tuple[str, ...] | None = setting(
        Strings(
            'a list such as ["connect", "reset", "unavailable"]',
            Choice(RETRY_CONDITIONS, RETRY_SPELLINGS),
            alone=True,
            optional=True,
        ),
        "After what.",
        default=None,
        example=["connect", "reset", "unavailable"],
        also=("retry_on", "conditions", "when"),
    )
    unsafe: bool | None = setting(
        Flag(optional=True),
        "Repeat what may have taken effect as well.",
        default=None,
        example=True,
        also=("non_idempotent", "all_methods", "post"),
    )
    initial_s: float | None = setting(
        Duration(0, 60, optional=True),
        "Wait before the first repeated try.",
        default=None,
        example="25ms",
        also=("backoff", "base_interval", "delay"),
    )
    max_s: float | None = setting(
        Duration(0, 60, optional=True),
        "The wait grows up to this.",
        default=None,
        example="250ms",
        also=("max_interval", "max_backoff"),
    )
    retry_after_s: float | None = setting(
        Duration(0, 60, optional=True),
        "A `Retry-After` up to this is waited for.",
        default=None,
        example="1s",
        also=("max_retry_after",),
    )

    def over(self, upstream: Retry) -> Retry:
        """What holds for a request of this route to an upstream with these. The budget is always the upstream's."""
        return _over(self, upstream)


def _over(changes: Record, base: R) -> R:
    given = {
        member.attribute: getattr(changes, member.attribute)
        for member in changes.members
        if getattr(changes, member.attribute) is not None
    }
    return base.replace(**given) if given else base
