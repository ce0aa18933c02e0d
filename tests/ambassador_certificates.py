"""Certificates for tests, made on the spot: an authority and what it signs."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY = datetime.timedelta(days=1)


class Pair:
    """The paths of a certificate and its key."""

    def __init__(self, cert: str, key: str) -> None:
        self.cert = cert
        self.key = key

    def replace_by(self, other: Pair) -> None:
        """Move another pair's files to our paths, one after the other, as a tool of the trade would."""
        os.replace(other.cert, self.cert)
        os.replace(other.key, self.key)


class Authority:
    """A certificate authority with its files in `directory`."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {name}")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = str(directory / f"{name}.pem")
        _write(self.file, certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        file: str,
        *,
        dns: tuple[str, ...] = (),
        uris: tuple[str, ...] = (),
        common_name: str = "",
        valid_days: float = 20.0,
    ) -> Pair:
        """Sign a certificate for 127.0.0.1 (unless it is a client's) and these names; negative days have passed already."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris]
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 300 * _DAY)
            .not_valid_after(now + valid_days * _DAY)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = Pair(str(self._directory / f"{file}.pem"), str(self._directory / f"{file}.key"))
        _write(pair.cert, certificate.public_bytes(serialization.Encoding.PEM))
        _write(
            pair.key,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        return pair


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
