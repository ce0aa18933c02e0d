"""Which keys there can be, and where they lie."""

from __future__ import annotations

import pytest

from pillion.config.keys import Scopes, check_key, check_layer, check_prefix, key_of
from pillion.config.schemas import check_name
from pillion.errors import UsageError

SCOPES = Scopes("prod", "shop", "shop-1")


@pytest.mark.parametrize(
    "key", ["a", "shop/price", "ü/ß", "a b/c", "...", "a/.b", "x" * 512, "%2F"]
)
def test_a_key(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        "a\x00",
        "a\nb",
        "\u200b",
        "x" * 513,
        "\ud800",
    ],
)
def test_no_key(key: str) -> None:
    with pytest.raises(UsageError, match=r"^cannot use the key"):
        check_key(key)


def test_a_prefix_may_end_within_a_segment_or_behind_one() -> None:
    for prefix in ("", "a", "shop/", "shop/pr"):
        assert check_prefix(prefix) == prefix
    for prefix in ("/", "a//", "//", "a\t"):
        with pytest.raises(UsageError, match=r"^cannot use the prefix"):
            check_prefix(prefix)


def test_a_schema_is_for_a_key_or_what_is_below_one() -> None:
    assert check_name("shop/") == "shop/"
    assert check_name("shop/price") == "shop/price"
    with pytest.raises(UsageError):
        check_name("shop//")


def test_layers() -> None:
    assert check_layer(None) is None
    assert check_layer("default") == "default"
    with pytest.raises(UsageError, match="there are default, environment, service, instance"):
        check_layer("global")


def test_where_a_key_lies() -> None:
    assert SCOPES.store_key("default", "a/b") == "config/default/-/a/b"
    assert SCOPES.store_key("environment", "a") == "config/environment/prod/a"
    assert SCOPES.store_key("service", "a") == "config/service/shop/a"
    assert SCOPES.store_key("instance", "a") == "config/instance/shop-1/a"
    for layer in SCOPES.prefixes:
        assert SCOPES.locate(SCOPES.store_key(layer, "x/y")) == (layer, "x/y")
        assert key_of(SCOPES.store_key(layer, "x/y")) == "x/y"
    assert SCOPES.locate("config/service/other/a") is None
    assert SCOPES.locate("schema/a") is None
    assert key_of("config/service/shop") == ""


def test_scopes_cannot_run_into_each_other() -> None:
    odd = Scopes("", "a/b", "x")
    assert odd.locate("config/service/a/b/c") is None
    assert Scopes("", "a", "x").locate(odd.store_key("service", "c")) is None


def test_without_an_environment_there_is_no_such_layer() -> None:
    scopes = Scopes("", "shop", "shop")
    assert list(scopes.prefixes) == ["default", "service", "instance"]
    with pytest.raises(UsageError, match=r"set config\.environment"):
        scopes.store_key("environment", "a")
