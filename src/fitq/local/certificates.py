"""Certificates with which the inner servers of one program know each other, and nobody else."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fitq.local.files import private_folder, write_private
from fitq.local.ports import LOOPBACK

_DAY = datetime.timedelta(days=1)
_YEARS = 3650 * _DAY  #: they are made anew at every start


class Certificates(NamedTuple):
    """Paths of PEM files that only their owner can read."""

    authority: Path  #: whom to trust; its key is not kept, so nobody can be added later
    certificate: Path  #: of servers and clients alike
    key: Path


def certificates_in(folder: Path) -> Certificates:
    """Where the certificates of a folder are."""
    return Certificates(folder / "authority.crt", folder / "member.crt", folder / "member.key")


def make_certificates(folder: Path) -> None:
    """Put a fresh authority, and the one certificate it ever signs, into a folder."""
    private_folder(folder)
    made = certificates_in(folder)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = (
        _certificate("fitq inner authority", "fitq inner authority", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    member = (
        _certificate("fitq inner server", "fitq inner authority", key)
        .add_extension(x509.SubjectAlternativeName(_own_names()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([*_BOTH_ENDS]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_private(made.authority, authority.public_bytes(pem).decode())
    write_private(made.certificate, member.public_bytes(pem).decode())
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(made.key, key.private_bytes(*plain).decode())


_BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def _own_names() -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_address(LOOPBACK)), x509.DNSName("localhost")]


def _certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)  # clocks are set back
        .not_valid_after(now + _YEARS)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
