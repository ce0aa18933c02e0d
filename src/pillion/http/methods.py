"""What a method says about repeating a request."""

from typing import Final

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""Methods of which several requests have the effect of one (RFC 9110 section 9.2.2)."""
