"""Which words of a `server` line can be said at run time, and how many of the following words belong to each.

The list is that of `add server` in HAProxy 2.6 (management guide, section 9.3): what a later HAProxy takes in addition costs a reload.
"""

from __future__ import annotations

from typing import NamedTuple

_FLAGS = (
    "allow-0rtt backup check check-send-proxy check-ssl check-via-socks4 disabled enabled force-sslv3 force-tlsv10 force-tlsv11 "
    "force-tlsv12 force-tlsv13 no-ssl-reuse no-sslv3 no-tls-tickets no-tlsv10 no-tlsv11 no-tlsv12 no-tlsv13 send-proxy send-proxy-v2 "
    "send-proxy-v2-ssl send-proxy-v2-ssl-cn ssl tfo tls-tickets"
)
_VALUES = (
    "addr alpn ca-file check-alpn check-proto check-sni ciphers ciphersuites crl-file crt downinter error-limit fall fastinter id inter "
    "maxconn maxqueue minconn npn observe on-error on-marked-down on-marked-up pool-low-conn pool-max-conn pool-purge-delay port proto "
    "proxy-v2-options rise slowstart sni ssl-max-ver ssl-min-ver verify verifyhost weight ws"
)
_FILE_FLAGS = "non-stick"
# Agents and trackers change the state of a server behind our back, and stand in the way of its removal.
_FILE_VALUES = (
    "agent-addr agent-inter agent-port agent-send cookie init-addr log-proto max-reuse namespace redir resolve-net resolve-opts "
    "resolve-prefer resolvers shard socks4 track"
)
RUN_TIME = {
    **dict.fromkeys(_FLAGS.split(), 0),
    **dict.fromkeys(_VALUES.split(), 1),
}
"""The words that `add server` takes, each with the number of its values."""
_KNOWN = {
    **RUN_TIME,
    "agent-check": 0,
    **dict.fromkeys(_FILE_FLAGS.split(), 0),
    **dict.fromkeys(_FILE_VALUES.split(), 1),
}
_CANCELLED = frozenset(
    {
        "agent-check",
        "backup",
        "check",
        "check-send-proxy",
        "check-ssl",
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2-ssl",
    }
    | {"send-proxy-v2-ssl-cn", "ssl", "tfo", "verifyhost"}
)
_OPPOSITES = {
    "tls-tickets": "no-tls-tickets",
    "no-tls-tickets": "tls-tickets",
    "enabled": "disabled",
    "disabled": "enabled",
}
RESOLVING = frozenset({"init-addr", "resolve-net", "resolve-opts", "resolve-prefer", "resolvers"})
"""Words that mean nothing to a server whose address is an IP address."""


class Options(NamedTuple):
    """The options of one server, the last word on each: `known` by keyword; `rest` is what begins with a word that nobody knows here."""

    known: dict[str, tuple[str, ...]]
    rest: tuple[str, ...]

    @property
    def flat(self) -> tuple[str, ...]:
        """Keyword and values, keyword by keyword in the order of the alphabet."""
        words = [word for keyword in sorted(self.known) for word in (keyword, *self.known[keyword])]
        return (*words, *self.rest)


def read_options(*lines: tuple[str, ...]) -> Options:
    """The options of a server line, which comes last, after the `default-server` lines that hold for it, earliest first."""
    known: dict[str, tuple[str, ...]] = {}
    rest: list[str] = []
    for words in lines:
        position = 0
        while position < len(words):
            keyword = words[position]
            if keyword.startswith("no-") and keyword[3:] in _CANCELLED:
                known.pop(keyword[3:], None)
                position += 1
                continue
            values = _KNOWN.get(keyword)
            if values is None or position + values >= len(words):
                rest += words[position:]
                break
            known.pop(_OPPOSITES.get(keyword, ""), None)
            known[keyword] = words[position + 1 : position + 1 + values]
            position += 1 + values
    return Options(known, tuple(rest))
