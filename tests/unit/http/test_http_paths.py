"""Normal form of paths: what is matched is what is meant."""

import pytest

from pillion.http.paths import BadPathError, decode_segment, normalise, split_target


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../../a", "/a"),
        ("/a//b/", "/a//b/"),
        ("/.hidden/..x", "/.hidden/..x"),
        ("/%41%2d%7e", "/A-~"),
        ("/%2e%2E/a", "/a"),
        ("/a/%2e%2e%2fb", "/a/..%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%252fb", "/a%252fb"),
        ("/a%20b", "/a%20b"),
        ("/%e4", "/%E4"),
    ],
)
def test_normal_form(path: str, expected: str) -> None:
    assert normalise(path) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize("path", ["/%", "/%4", "/%zz", "/a%00", "/%%41"])
def test_invalid_escapes(path: str) -> None:
    with pytest.raises(BadPathError):
        normalise(path)


def test_segments_are_decoded_whole() -> None:
    assert decode_segment("a") == "a"
    assert decode_segment("a%2Fb%25%C3%A4") == "a/b%ä"
    for segment in ("%FF", "%", "%4"):
        with pytest.raises(BadPathError):
            decode_segment(segment)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b?c", "/a", "b?c"),
        ("/a", "/a", ""),
        ("http://h/a?b", "/a", "b"),
        ("HTTPS://h", "/", ""),
        ("http://h?x", "/", "x"),
        ("*", "*", ""),
        ("h:443", "h:443", ""),
    ],
)
def test_targets(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)
