"""Which keys there are, and where a layer of them lies in the store: one grammar and one mapping for everybody.

config/default/-/KEY               for every service of the store
config/environment/ENVIRONMENT/KEY
config/service/SERVICE/KEY
config/instance/INSTANCE/KEY
schema/KEY, schema/PREFIX/
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from pillion.base.percent import percent_encoded
from pillion.errors import UsageError
from pillion.settings.names import KEY_BYTES
from pillion.settings.names import check_key as check_setting

DEFAULT = "default"
ENVIRONMENT = "environment"
SERVICE = "service"
INSTANCE = "instance"
LAYERS = (DEFAULT, ENVIRONMENT, SERVICE, INSTANCE)
"""From the weakest to the strongest."""

ROOT = "config/"
SCHEMAS = "schema/"


def check_key(key: str) -> str:
    """Return `key` if it can be one: printable segments joined by `/`, at most 512 bytes; `UsageError` says what is wrong."""
    try:
        check_setting(key)
        if not key.isprintable():
            raise ValueError("it holds a character that cannot be printed")
    except ValueError as error:
        raise UsageError(
            f"cannot use the key {_shown(key)}: {error}; write one like shop/price"
        ) from error
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys can begin with it; the empty one begins all of them. `UsageError` otherwise."""
    if prefix:
        # Whatever ends within a segment, or behind one, is a key once its last slash is gone.
        try:
            check_key(prefix.removesuffix("/"))
        except UsageError as error:
            raise UsageError(f"{error}".replace("the key", "the prefix", 1)) from error
    return prefix


def check_layer(layer: str | None) -> str | None:
    """Return `layer` if there is such a one; `UsageError` otherwise."""
    if layer is not None and layer not in LAYERS:
        raise UsageError(f"cannot use the layer {layer[:32]!r}: there are {', '.join(LAYERS)}")
    return layer


class Scopes(msgspec.Struct, frozen=True, dict=True):
    """Whose values an instance sees; an empty `environment` is none, and has no layer."""

    environment: str
    service: str
    instance: str

    @cached_property
    def prefixes(self) -> dict[str, str]:
        """The beginning of the store keys of each layer that there is, from the weakest."""
        names = {DEFAULT: "-", SERVICE: self.service, INSTANCE: self.instance}
        if self.environment:
            names[ENVIRONMENT] = self.environment
        return {
            layer: f"{ROOT}{layer}/{percent_encoded(names[layer])}/"
            for layer in LAYERS
            if layer in names
        }

    def store_key(self, layer: str, key: str) -> str:
        """Where `key` of `layer` is kept; `UsageError` for the layer of an environment when there is none."""
        prefix = self.prefixes.get(layer)
        if prefix is None:
            raise UsageError(
                f"cannot use the layer {layer}: this instance has no environment; set config.environment"
            )
        return prefix + key

    def locate(self, store_key: str) -> tuple[str, str] | None:
        """Layer and key of a store key; None for what belongs to others."""
        for layer, prefix in self.prefixes.items():
            if store_key.startswith(prefix):
                return layer, store_key[len(prefix) :]
        return None


def key_of(store_key: str) -> str:
    """The key of any scope's store key under `ROOT`; empty when it is none."""
    parts = store_key.split("/", 3)
    return parts[3] if len(parts) == 4 else ""


def _shown(key: str) -> str:
    return repr(key if len(key) <= KEY_BYTES // 4 else f"{key[: KEY_BYTES // 4]}…")
