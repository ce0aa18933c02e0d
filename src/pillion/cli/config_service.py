"""The configuration of an instance over its agent's API, as the `config` commands need it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from pillion.cli import api_client
from pillion.cli.instances import chosen_instance
from pillion.errors import UnreachableError, UsageError
from pillion.keeper.places import API_SOCKET

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pillion.cli.api_client import Answer

T = TypeVar("T")

PATIENCE_S = 15.0

_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"\Z')


class Item(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A value and where it comes from; `omitted` says why there is none."""

    key: str
    value: object = None
    revision: int
    layer: str
    omitted: str = ""


class Items(msgspec.Struct):
    """Values in the order of their keys."""

    items: list[Item]
    revision: int


class ConfigService:
    """One instance's configuration. Every method raises `RefusedError` for a no and `UnreachableError` for silence."""

    def __init__(self, args: argparse.Namespace) -> None:
        found = chosen_instance(args.instance)
        self.runtime_dir = found.runtime_dir
        self.socket = found.path(API_SOCKET)

    def get(self, path: str, result: type[T], **query: object) -> T:
        """Read `path` of the API; says on stderr when the answer may be out of date."""
        answer = self.exchange("GET", path, query=query)
        stale_s = answer.headers.get(b"pillion-stale")
        if stale_s is not None:
            sys.stderr.write(
                f"pillion: stale: the store is away, and this was last known to be current {stale_s.decode()} s ago\n"
            )
        return self.read(answer, result)

    def exchange(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        fields: list[tuple[bytes, bytes]] | None = None,
    ) -> Answer:
        """One request, with what of `query` is not None."""
        return api_client.exchange(
            self.socket,
            method,
            target(path, query or {}),
            None if body is None else msgspec.json.encode(body),
            timeout_s=PATIENCE_S,
            fields=fields or [],
        )

    def read(self, answer: Answer, result: type[T]) -> T:
        """The body of an answer as a `result`."""
        try:
            return msgspec.json.decode(answer.body, type=result)
        except msgspec.DecodeError as error:
            raise UnreachableError(
                f"cannot read the agent's answer: {error}; is it of another version? see `pillion status`"
            ) from error


def target(path: str, query: Mapping[str, object]) -> str:
    """Path and query, with what of `query` is not None."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def path_of(kind: str, key: str) -> str:
    """The path of `key` under `/v1/KIND/`; a key begins nowhere else than at its first word."""
    if not key or key.startswith("/"):
        raise UsageError(f"cannot use the key {key!r}: write one like shop/price")
    return f"/v1/{kind}/{quote(key)}"


def conditions(args: argparse.Namespace) -> list[tuple[bytes, bytes]]:
    """The preconditions that the arguments ask for, as header fields."""
    if args.if_absent:
        if args.if_match is not None:
            raise UsageError("cannot use --if-absent and --if-match together: one of them")
        return [(b"if-none-match", b"*")]
    if args.if_match is None:
        return []
    tag: str = args.if_match
    # Quotes are part of an ETag, and a shell has taken them away.
    if tag != "*" and not _TAG.match(tag):
        tag = f'"{tag}"'
    if tag != "*" and not _TAG.match(tag):
        raise UsageError(f"cannot use --if-match {args.if_match}: write an ETag like service:17")
    return [(b"if-match", tag.encode())]


def shown(value: object) -> str:
    """A value in one line, as JSON."""
    return msgspec.json.encode(value).decode()
