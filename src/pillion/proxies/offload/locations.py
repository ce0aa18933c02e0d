"""Which location a request comes to: a file, a protected one, a page, or the app."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pillion.proxies.offload.answers import (
    BROTLI,
    STREAM,
    WRITE,
    say_errors,
    say_headers,
    say_own_answers,
)
from pillion.proxies.offload.text import directory, literal
from pillion.proxies.offload.types import COMPRESSED_ENDS

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.proxies.offload.text import Writer
    from pillion.settings.offload import Offload

QUIET_S = 3600
"""How long a WebSocket or a stream of events may be silent."""


def say_locations(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """All locations of the server, in the order in which somebody reads them."""
    text.gap()
    if settings.protected is not None:
        text.why("Only by X-Accel-Redirect; a client finds nothing here.")
        with text.block("location", "^~", settings.protected_prefix):
            text.say("internal")
            protected = directory(settings.protected)
            text.say("alias", protected.rstrip("/") + "/")
            text.say("disable_symlinks", "on", f"from={protected}")
            say_headers(text, settings, "$pillion_private")
    text.why("No hidden files, however they are asked for.")
    with text.block("location", "~", r"^(?:/.*)?/\.(?!well-known(?:/|$))"):
        text.say("return", "404")
    if settings.precompress:
        _say_compressed(text, settings, facts)
    text.why("Names with a hash of their content: what was opened once stays right.")
    with text.block("location", "~", f"^.*(?:{settings.hashed})"):
        _say_turns(text)
        _say_open_files(text)
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")
    text.why(
        "Other files are looked at again after a second, so that a new version is served within it."
    )
    with text.block("location", "/"):
        _say_turns(text)
        _say_brotli(text, facts)
        pages = ["$pillion_page"] if settings.spa else []
        text.say("try_files", "$pillion_file", *pages, "@app")
    if facts.build.brotli:
        text.why("A .br file that was found to be no link, for a client that takes it.")
        with text.block("location", "@brotli"):
            text.say("disable_symlinks", "off")
            text.say("brotli_static", "on")
            if facts.build.gzip_static:
                text.say("gzip_static", "off")
            text.say("try_files", "$pillion_file", "@app")
    text.gap()
    _say_app(text, settings, facts)
    say_own_answers(text)


def _say_turns(text: Writer) -> None:
    with text.when("$pillion_stream"):
        text.say("return", str(STREAM))
    with text.when("$pillion_write"):
        text.say("return", str(WRITE))


def _say_open_files(text: Writer) -> None:
    """One that is missing is looked for each time: a page that names it may be served before it has come."""
    text.say("open_file_cache_valid", "60s")
    text.say("open_file_cache_errors", "off")


def _say_compressed(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """What Pillion has compressed lies in a tree of its own, without the files themselves: what is not there, or not in a coding that the
    client takes, is looked for below the root."""
    ends = "|".join(sorted(COMPRESSED_ENDS))
    text.why(
        "Compressed beforehand, in a tree of its own; what is not there is looked for below the root."
    )
    with text.block("location", "~", rf"^(?=.*(?:{settings.hashed})).*\.(?:{ends})$"):
        _say_turns(text)
        _say_tree(text, facts)
        _say_open_files(text)
        say_errors(text, settings, facts, missing="@hashed")
    with text.block("location", "@hashed"):
        _say_open_files(text)
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")
    if settings.cache_s < 1:
        return
    with text.block("location", "~", rf"^.*\.(?:{ends})$"):
        _say_turns(text)
        _say_tree(text, facts)
        say_errors(text, settings, facts, missing="@file")
    with text.block("location", "@file"):
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")


def _say_tree(text: Writer, facts: OffloadFacts) -> None:
    """Files that Pillion has made itself, so that there are no links among them."""
    text.say("root", literal(facts.places.compressed))
    text.say("disable_symlinks", "off")
    if facts.build.brotli:
        text.say("brotli_static", "on")


def _say_brotli(text: Writer, facts: OffloadFacts) -> None:
    """The module finds nothing where links are not followed: nginx itself looks first whether it is a file, and no link."""
    if facts.build.brotli:
        with text.when_file("$pillion_brotli"):
            text.say("return", str(BROTLI))


def _say_app(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    text.why(
        "The app: buffered, so that a slow client does not hold it. What it sends in chunks goes out as it comes."
    )
    with text.block("location", "@app"):
        _say_gate(text, facts)
        with text.when_file("$pillion_directory"):
            text.say("return", "301", "$pillion_slashed")
        if settings.microcache_s > 0:
            _say_microcache(text, settings)
        _say_pass(text)
    text.why("WebSocket and streams of events: silence is no fault.")
    with text.block("location", "@stream"):
        _say_gate(text, facts)
        text.say("proxy_read_timeout", f"{QUIET_S}s")
        text.say("proxy_send_timeout", f"{QUIET_S}s")
        _say_pass(text)


def _say_gate(text: Writer, facts: OffloadFacts) -> None:
    text.say("disable_symlinks", "off")
    text.why("The gate counts at once, not as it was up to a second ago.")
    text.say("open_file_cache", "off")
    with text.when_file(literal(facts.places.closed)):
        text.say("return", "503")


def _say_pass(text: Writer) -> None:
    text.say("gzip", "off")
    text.say("charset", "off")
    text.say("proxy_pass", "http://pillion_app")


def _say_microcache(text: Writer, settings: Offload) -> None:
    text.why(
        "How long is said by the setting; whether at all, the maps read from the same headers."
    )
    ignored = ["X-Accel-Redirect"] if settings.protected is None else []
    text.say("proxy_ignore_headers", *ignored, "Cache-Control", "Expires")
    text.say("proxy_cache", "pillion_micro")
    text.say("proxy_cache_key", "$request_method $scheme $pillion_authority $request_uri")
    text.say(
        "proxy_cache_valid", "200", "301", "302", "404", f"{math.ceil(settings.microcache_s)}s"
    )
    text.say("proxy_cache_lock", "on")
    text.say("proxy_cache_lock_timeout", "5s")
    text.say("proxy_cache_use_stale", "updating")
    text.say("proxy_cache_background_update", "on")
    text.say("proxy_cache_bypass", "$pillion_personal")
    text.say("proxy_no_cache", "$pillion_personal", "$pillion_uncacheable")
