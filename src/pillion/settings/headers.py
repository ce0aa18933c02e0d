"""Headers of HTTP as settings hold them: nothing in them may end one header and begin another."""

# RFC 9110, section 5.6.2: what a header's name is made of.
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

NAME_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
FRAMING = ("content-length", "transfer-encoding", "connection")
"""Headers that belong to the message's own framing; whoever sends it writes them."""


def check_header_name(text: str) -> None:
    """Raise ValueError unless `text` can name a header that a user may set."""
    if not text or not _TOKEN.issuperset(text):
        raise ValueError("not the name of a header")
    if text.lower() in FRAMING:
        raise ValueError("this header is Pillion's own")


def check_header_value(text: str) -> None:
    """Raise ValueError for a value with a control character in it (RFC 9110, section 5.5)."""
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("a control character in a header")
