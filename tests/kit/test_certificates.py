"""Certificates: what is issued is accepted by TLS itself, and what cannot be used is told apart."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.kit.certificates import (
    AUTHORITY_DAYS,
    Authority,
    CertificateProblem,
    check_pair,
    facts,
    is_name,
    trusts_its_own,
)

NOW = 1_800_000_000.0
DAY = 86_400.0
AUTHORITY = Authority.make("Longshore test", NOW)
NAMES = ["127.0.0.1", "::1", "localhost", "*.dkr.ecr.us-east-1.localhost"]
ISSUED = AUTHORITY.issue(NAMES, NOW)


def handshake(server_pem: bytes, root_pem: bytes, host: str, directory: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
    """The protocol agreed on between two ends in memory; raises what a client raises."""
    file = directory / "server.pem"
    file.write_bytes(server_pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    client_context = ssl.create_default_context(cadata=root_pem.decode())
    client_context.maximum_version = version
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there, server_hostname=host)
    server = server_context.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version() or ""


@pytest.fixture(scope="module")
def now() -> tuple[Authority, bytes]:
    """Of the present day, which OpenSSL goes by."""
    import time

    authority = Authority.make("Longshore test", time.time())
    return authority, authority.issue(NAMES, time.time())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "000000000000.dkr.ecr.us-east-1.localhost"])
def test_a_client_that_trusts_the_authority_accepts_every_name(now: tuple[Authority, bytes], host: str, tmp_path: Path) -> None:
    authority, issued = now
    assert handshake(issued, authority.root_pem, host, tmp_path) == "TLSv1.3"
    assert handshake(issued, authority.root_pem, host, tmp_path, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


def test_a_client_refuses_other_names_and_other_authorities(now: tuple[Authority, bytes], tmp_path: Path) -> None:
    authority, issued = now
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(issued, authority.root_pem, "example.com", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(issued, AUTHORITY.root_pem, "localhost", tmp_path)


def test_what_is_issued_says_for_whom_and_how_long() -> None:
    found = check_pair(ISSUED, ISSUED, NOW)
    assert found.names == tuple(NAMES)
    assert (found.not_before < NOW, found.not_after) == (True, NOW + 90 * DAY)
    assert not found.self_signed and facts(AUTHORITY.root_pem).self_signed
    assert AUTHORITY.issued(ISSUED) and not Authority.make("other", NOW).issued(ISSUED)
    assert trusts_its_own(ISSUED)


def test_an_authority_makes_no_other_authorities() -> None:
    told = {kind: AUTHORITY.certificate.extensions.get_extension_for_class(kind) for kind in (x509.BasicConstraints, x509.KeyUsage)}
    assert told[x509.BasicConstraints].value == x509.BasicConstraints(ca=True, path_length=0)
    assert all(extension.critical for extension in told.values())
    issued = x509.load_pem_x509_certificate(ISSUED.partition(b"-----END PRIVATE KEY-----\n")[2])
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not issued.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_nothing_outlives_its_authority() -> None:
    late = NOW + (AUTHORITY_DAYS - 10) * DAY
    assert facts(AUTHORITY.issue(["localhost"], late)).not_after == NOW + AUTHORITY_DAYS * DAY
    with pytest.raises(CertificateProblem, match="ended on"):
        AUTHORITY.issue(["localhost"], NOW + AUTHORITY_DAYS * DAY)


def test_an_authority_is_itself_again_after_being_written_down() -> None:
    again = Authority.of_pem(AUTHORITY.pem)
    assert again.root_pem == AUTHORITY.root_pem and again.issued(ISSUED)
    assert b"PRIVATE KEY" not in again.root_pem
    assert "PRIVATE" not in repr(again)
    with pytest.raises(CertificateProblem, match="does not belong"):
        Authority.of_pem(Authority.make("other", NOW).pem.partition(b"-----BEGIN CERT")[0] + AUTHORITY.root_pem)


def _pem(key: object, passphrase: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("certificate", "key", "now_at", "words"),
    [
        (b"nonsense", ISSUED, NOW, "no certificate in PEM form"),
        (AUTHORITY.root_pem, b"nonsense", NOW, "no private key in PEM form"),
        (ISSUED, _pem(ec.generate_private_key(ec.SECP256R1())), NOW, "does not belong to the certificate of CN=127.0.0.1"),
        (ISSUED, _pem(rsa.generate_private_key(65537, 2048)), NOW, "does not belong"),
        (ISSUED, _pem(x25519.X25519PrivateKey.generate()), NOW, "of a kind that TLS servers do not use"),
        (ISSUED, _pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), NOW, "has a passphrase"),
        (ISSUED, ISSUED, NOW + 90 * DAY, "ended on 2027-04-15"),
        (ISSUED, ISSUED, NOW - DAY, "not valid before"),
    ],
)
def test_a_pair_that_cannot_serve_is_told_why(certificate: bytes, key: bytes, now_at: float, words: str) -> None:
    with pytest.raises(CertificateProblem, match=words):
        check_pair(certificate, key, now_at)


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("1.dkr.ecr.us-east-1.localhost", True),
        ("dkr.ecr.us-east-1.localhost", False),
        ("a.b.dkr.ecr.us-east-1.localhost", False),
        ("127.0.0.2", False),
    ],
)
def test_a_star_covers_one_label(host: str, covered: bool) -> None:
    assert facts(ISSUED).covers(host) is covered


@pytest.mark.parametrize("name", ["", "a b", "a..b", "-a", "*", "a.*.b", "http://a", "a:80", "x" * 64, "10.0.0.256", "exämple.org", "a\n"])
def test_what_is_no_name_gets_no_certificate(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(CertificateProblem, match="neither a host name nor an IP address"):
        AUTHORITY.issue([name], NOW)


_labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20).filter(lambda label: not label.isdigit())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.lists(_labels, min_size=1, max_size=4).map(".".join), st.ip_addresses().map(str)), min_size=1, max_size=5))
def test_every_name_asked_for_is_in_the_certificate_once(names: list[str]) -> None:
    found = x509.load_pem_x509_certificate(AUTHORITY.issue(names, NOW).partition(b"-----END PRIVATE KEY-----\n")[2])
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = [str(name) for name in (*alternatives.get_values_for_type(x509.DNSName), *alternatives.get_values_for_type(x509.IPAddress))]
    assert sorted(told) == sorted({str(ipaddress.ip_address(n)) if ":" in n else n for n in names})
