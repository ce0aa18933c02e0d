"""Names that end up as parts of paths, sockets, store keys and URLs: one rule for all of them, so that none needs escaping."""

from pillion.settings.kinds import Text

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
KEY_PATTERN = r"^[^/\u0000-\u001f\u007f]+(/[^/\u0000-\u001f\u007f]+)*$"
PREFIX_PATTERN = r"^[^/\u0000-\u001f\u007f]+(/[^/\u0000-\u001f\u007f]+)*/?$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

KEY_BYTES = 512

_NAME_REST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def check_name(text: str) -> None:
    """Raise ValueError unless `text` can name an instance, a service, a check or a secret."""
    if len(text) > 64:
        raise ValueError("longer than 64 characters")
    if not text or text[0] in "._-" or not _NAME_REST.issuperset(text):
        raise ValueError(
            "a name is letters, digits, dots, hyphens and underscores, and begins with a letter or digit"
        )


def check_key(text: str) -> None:
    """Raise ValueError unless `text` can be the key of a configuration value: words joined by `/`."""
    if len(text.encode(errors="surrogatepass")) > KEY_BYTES:
        raise ValueError(f"longer than {KEY_BYTES} bytes")
    for part in text.split("/"):
        if not part:
            raise ValueError("a key is words joined by /, with none at its ends and none twice")
        if part in (".", ".."):
            raise ValueError("a part of a key cannot be . or ..")
        if not part.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in part):
            raise ValueError("a control character in a key")


def check_prefix(text: str) -> None:
    """Raise ValueError unless `text` can be the beginning of keys, up to a `/` that may be left out."""
    check_key(text.removesuffix("/"))


def check_variable(text: str) -> None:
    """Raise ValueError unless a shell can read `text` as the name of an environment variable (POSIX, section 3.216)."""
    first = text[:1]
    word = text.replace("_", "a")
    if not first or not word.isascii() or not word.isalnum() or first.isdigit():
        raise ValueError("a variable's name is letters, digits and underscores, no digit first")


def name_text(expected: str, *, optional: bool = False) -> Text:
    """The kind of a setting that holds such a name."""
    return Text(expected, check=check_name, pattern=NAME_PATTERN, optional=optional)
