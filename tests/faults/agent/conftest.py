"""A keeper's side of the wire for these tests."""

from keeper_peer import keeper

__all__ = ["keeper"]
