"""Which line a message is about that names none: what only fails at the load - an address that is taken, a zone that was another - nginx tells without a place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.proxies.nginx.messages import Message

_BIND = re.compile(r"bind\(\) to (\S+) failed")
# `limit_req "one" uses the "$uri" key while previously …`, `shared memory zone "one" is …`, `cache "one" uses …`, `zero size shared memory zone "one"`.
_ZONE = re.compile(
    r"(?:zone|cache|limit_req|limit_conn|limit_req_zone|limit_conn_zone|upstream) \"([^\"]+)\""
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ANY = "0.0.0.0"  # noqa: S104 # as nginx writes it
_HTTP = "80"


def located(message: Message, files: Mapping[str, str]) -> Message:
    """The message with the first line of `files` (text by name) that it must mean; as it is when it has a place, or none of them fits."""
    if message.file:
        return message
    wanted = _wanted(message.text)
    if wanted is None:
        return message
    for name, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            if wanted.search(_COMMENT.sub("", line)):
                return msgspec.structs.replace(message, file=name, line=number)
    return message


def _wanted(text: str) -> re.Pattern[str] | None:
    bound = _BIND.search(text)
    if bound is not None:
        words = "|".join(map(re.escape, _written(bound[1])))
        return re.compile(rf"\blisten\s+[\"']?(?:{words})[\"']?(?=[\s;])")
    zone = _ZONE.search(text)
    if zone is not None:
        name = re.escape(zone[1])
        return re.compile(rf"(?:\b(?:keys_)?zone=|:shared:|\bshared:|\bzone\s+){name}(?=[:\s;])")
    return None


def _written(address: str) -> list[str]:
    """How a `listen` may say the address that nginx names (https://nginx.org/en/docs/http/ngx_http_core_module.html#listen)."""
    host, _, port = address.rpartition(":")
    ways = [address]
    if host == _ANY:
        ways += [port, f"*:{port}"]
    if port == _HTTP:
        ways += [host] if host != _ANY else [host, "*"]
    return ways
