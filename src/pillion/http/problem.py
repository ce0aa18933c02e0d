"""Problem details (RFC 9457): the one shape of every error that we answer."""

import json
from http import HTTPStatus

CONTENT_TYPE = b"application/problem+json"


def title_of(status: int) -> str:
    """Return the reason phrase of `status`, or "Error" for a status without one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem_body(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    kind: str = "about:blank",
    instance: str | None = None,
) -> bytes:
    """Return a problem document as JSON. `kind` is its `type`, a URI reference."""
    document: dict[str, str | int] = {
        "type": kind,
        "title": title_of(status) if title is None else title,
        "status": status,
        "detail": detail,
    }
    if instance is not None:
        document["instance"] = instance
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
