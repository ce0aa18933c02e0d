"""The answers that the ambassador makes itself. Each says why, in a field for programs and in a problem document for people
(RFC 9457), so that nobody looks for the fault in the wrong place.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from pillion.http.codec import encode_response_head
from pillion.http.problem import CONTENT_TYPE, problem_body

REASON: Final = b"pillion-reason"

STATUS: Final[dict[str, int]] = {
    "bad-request": 400,
    "no-route": 404,
    "egress-denied": 403,
    "credentials-required": 407,
    "rate-limited": 429,
    "connect-failed": 502,
    "upstream-reset": 502,
    "upstream-protocol": 502,
    "tls-failed": 502,
    "no-endpoint": 503,
    "circuit-open": 503,
    "overloaded": 503,
    "queue-timeout": 503,
    "draining": 503,
    "connect-timeout": 504,
    "try-timeout": 504,
    "idle-timeout": 504,
    "total-timeout": 504,
    "loop-detected": 508,
}
"""The status that goes with a reason, unless the answer says another."""


class OwnAnswer(msgspec.Struct, frozen=True):
    """An answer of our own: `reason` from `STATUS`, or "direct-answer", "redirect", "fault-injected"."""

    reason: str
    detail: str
    status: int = 0
    retry_after_s: float | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    """Of a direct answer; a problem document when left out."""
    content_type: bytes = b"text/plain; charset=utf-8"

    @property
    def code(self) -> int:
        """The status of the answer."""
        return self.status or STATUS[self.reason]


def encode(answer: OwnAnswer, method: str, date_line: bytes, *, close: bool) -> bytes:
    """The answer as it goes on the wire; without its body for HEAD (RFC 9110 section 9.3.2)."""
    status = answer.code
    if answer.body is None:
        body = problem_body(status, answer.detail)
        kind = CONTENT_TYPE
    else:
        body, kind = answer.body, answer.content_type
    fields = [(REASON, answer.reason.encode()), *answer.fields]
    bodyless = status in (204, 304)
    if not bodyless:
        fields.append((b"content-type", kind))
    if answer.retry_after_s is not None:
        # Whole seconds (RFC 9110 section 10.2.3), and never zero: at once is what was just refused.
        fields.append((b"retry-after", b"%d" % max(1, math.ceil(answer.retry_after_s))))
    extra = date_line + (b"connection: close\r\n" if close else b"")
    head = encode_response_head(status, fields, -3 if bodyless else len(body), extra)
    return head if method == "HEAD" or bodyless else head + body
