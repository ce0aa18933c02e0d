"""What nginx answers itself in front of the app: headers, and a problem document for each error that is its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pillion.proxies.offload.maps import PROBLEM_STATUSES, header_variable

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.proxies.offload.text import Writer
    from pillion.settings.offload import Offload

STREAM, WRITE, BROTLI = 491, 492, 493
"""Codes that are nobody's, by which a location hands on to a named one."""
PROBLEM = "/.pillion/problem"
"""A path, since a request of which not even the target could be read comes to no named location. No client comes here."""


def say_answers(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """What holds for every answer of the server, unless a location says more."""
    say_headers(text, settings, "$pillion_cache")
    text.why("What nginx answers itself; the app's own errors are left alone.")
    text.say("recursive_error_pages", "on")
    say_errors(text, settings, facts)


def say_headers(text: Writer, settings: Offload, caching: str) -> None:
    """All of them, since a location that adds one has none of its server's."""
    text.say("add_header", "Cache-Control", caching)
    text.say("add_header", "Retry-After", "$pillion_retry_after", "always")
    text.say("add_header", "X-Request-Id", "$pillion_answer_id", "always")
    for number, name in enumerate(settings.headers):
        text.say("add_header", name, header_variable(number), "always")


def say_errors(text: Writer, settings: Offload, facts: OffloadFacts, missing: str = "") -> None:
    """All of them, for the same reason; `missing` is the location of what is not found."""
    statuses = [one for one in PROBLEM_STATUSES if not (missing and one == 404)]
    text.say("error_page", *map(str, statuses), PROBLEM)
    if missing:
        text.say("error_page", "404", "=", missing)
    text.say("error_page", "494", "=431", PROBLEM)
    if settings.tls is not None:
        text.say("error_page", "495", "496", "497", "=400", PROBLEM)
    text.say("error_page", "502", "=", "@away")
    text.say("error_page", str(STREAM), "=", "@stream")
    text.say("error_page", str(WRITE), "=", "@app")
    if facts.build.brotli:
        text.say("error_page", str(BROTLI), "=", "@brotli")


def say_own_answers(text: Writer) -> None:
    """The locations that an error of nginx's own comes to."""
    text.why("A problem document (RFC 9457), with the status that led here.")
    with text.block("location", "=", PROBLEM):
        text.say("internal")
        text.say("default_type", "application/problem+json")
        text.say("charset", "off")
        text.say(
            "return",
            "200",
            '{"type":"about:blank","title":"$pillion_title","status":$status,"detail":"$pillion_detail"}',
        )
    text.why("The app is away, unless it was reached and its answer is what cannot be used.")
    with text.block("location", "@away"):
        text.say("default_type", "application/problem+json")
        text.say("charset", "off")
        with text.when("$pillion_reached"):
            text.say(
                "return", "502", _problem(502, "The app broke off, or answered what is no HTTP.")
            )
        text.say("return", "503", _problem(503, "The app is away; files are served all the same."))


def _problem(status: int, detail: str) -> str:
    title = {502: "Bad Gateway", 503: "Service Unavailable"}[status]
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(document, separators=(",", ":"))
