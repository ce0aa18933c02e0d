"""Names and dates of certificates."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pillion.ambassador.certificate import is_allowed, names_of, not_after

_SUBJECT = (
    (("countryName", "CH"),),
    (("commonName", "first"),),
    (("commonName", "Last.internal"),),
)


def test_the_names_are_those_of_the_san_and_else_the_cn() -> None:
    san = (("DNS", "Shop.Internal"), ("IP Address", "10.0.0.1"), ("URI", "spiffe://A/b"))
    assert names_of({"subject": _SUBJECT, "subjectAltName": san}) == (
        "spiffe://A/b",
        "shop.internal",
    )
    assert names_of({"subject": _SUBJECT}) == ("Last.internal",)
    # An address is no name, and does not keep the CN from being one.
    assert names_of({"subject": _SUBJECT, "subjectAltName": san[1:2]}) == ("Last.internal",)
    assert names_of({}) == ()
    assert names_of(None) == ()


def test_a_thousand_names_are_bounded() -> None:
    san = tuple(("DNS", f"n{at}.internal") for at in range(1000))
    assert len(names_of({"subjectAltName": san})) == 64


@pytest.mark.parametrize(
    ("name", "pattern", "allowed"),
    [
        ("shop.internal", "shop.internal", True),
        ("shop.internal", "SHOP.internal", True),
        ("shop.internal", "hop.internal", False),
        ("a.shop.internal", "*.shop.internal", True),
        ("a.b.shop.internal", "*.shop.internal", False),
        ("shop.internal", "*.shop.internal", False),
        (".shop.internal", "*.shop.internal", False),
        # A wildcard in a certificate stands for itself: whoever may issue it must be named so.
        ("*.shop.internal", "*.shop.internal", False),
        ("*.shop.internal", "a.shop.internal", False),
        ("spiffe://shop/ns/a", "spiffe://shop/ns/a", True),
        ("spiffe://shop/ns/a", "spiffe://shop/ns/*", True),
        ("spiffe://shop/ns/a/b", "spiffe://shop/ns/*", True),
        ("spiffe://shop/ns/", "spiffe://shop/ns/*", False),
        ("spiffe://shop/ns", "spiffe://shop/ns/*", False),
        ("spiffe://shop/nsx/a", "spiffe://shop/ns/*", False),
        ("spiffe://shop/NS/a", "spiffe://shop/ns/a", False),
        ("spiffe://shop.internal", "shop.internal", False),
        ("shop.internal", "spiffe://shop.internal", False),
        ("store", "store", True),
    ],
)
def test_what_is_allowed(name: str, pattern: str, allowed: bool) -> None:
    assert is_allowed((name,), (pattern,)) is allowed


def test_one_of_many_will_do() -> None:
    assert is_allowed(("a", "b"), ("c", "b"))
    assert not is_allowed((), ("c",))
    assert not is_allowed(("a",), ())


@pytest.mark.parametrize("year", [1990, 2026, 2049, 2050, 9999])
def test_dates_are_read_as_others_read_them(year: int) -> None:
    end = datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
    assert not_after(_certificate(end)) == end


def test_no_certificate_is_no_crash() -> None:
    der = _certificate(datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC))
    for at in range(len(der)):
        for damaged in (der[:at], der[:at] + bytes((der[at] ^ 0xFF,)) + der[at + 1 :]):
            try:
                assert not_after(damaged)
            except ValueError:
                continue
    for wrong in (b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x04\x02ab"):
        with pytest.raises(ValueError, match="cannot read the certificate"):
            not_after(wrong)


def _certificate(end: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)
