"""Whatever is found where nginx's words should be, reading it ends, and gives no more than it may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pillion.proxies.nginx.messages import MOST_MESSAGES, error_logs, messages, places

PIECES = st.sampled_from(
    [
        "nginx: [emerg] ",
        "2026/11/23 00:58:47 [warn] 7#7: *1 ",
        "nginx: configuration file /c/nginx.conf test failed",
        " in /c/nginx.conf:12",
        " in /c/a b:0",
        " in ",
        ":7",
        'unknown directive "',
        "\n",
        "(98: Address already in use)",
        "error_log /x;",
        "http { ",
        "}",
        "'",
        '"',
        "\\",
        "${",
        "#",
    ]
)
WORDS = st.lists(PIECES | st.text(max_size=5), max_size=60).map("".join)


@given(WORDS)
def test_any_words(words: str) -> None:
    found = messages(words, ("/c",))
    assert len(found) <= MOST_MESSAGES
    for one in found:
        assert "\n" not in one.text
        assert (one.line == 0) or one.file
        assert not one.file.startswith("/c/")
    assert len(places(found)) <= len(found)


@given(WORDS)
def test_any_configuration(text: str) -> None:
    assert all(path.startswith("/") for path in error_logs(text))
