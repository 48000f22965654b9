"""HTTPS as `longshore up` sees it: are the files good, by which name is the endpoint reached, and what is there to trust."""

from __future__ import annotations

import socket
import time

from msgspec.structs import replace

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory, Tls
from longshore.kit.certificates import CertificateProblem, Facts, check_pair, facts, is_name, trusts_its_own

_EVERYWHERE = ("", "0.0.0.0", "::")


def settled(tls: Tls, host: str, data: DataDirectory) -> Tls:
    """`tls` with what follows from it: the endpoint's name and what clients are to trust. Raises Failure for what cannot be served."""
    wrong = [name for name in tls.names if not is_name(name)]
    if wrong:
        raise Failure(f"no host name and no address: {', '.join(wrong)}", "give names such as --tls-name box.example.com", ExitCode.USAGE)
    if tls.certificate is None:
        return replace(tls, endpoint_host="", ca_bundle=data.ca_file)
    certificate = _given(tls)
    own_root = trusts_its_own(tls.certificate.read_bytes())
    return replace(tls, endpoint_host=endpoint_host(certificate, tls, host), ca_bundle=tls.certificate if own_root else None)


def endpoint_host(certificate: Facts, tls: Tls, host: str) -> str:
    """The name that clients on this machine can use and that the certificate is good for; raises Failure when there is none."""
    own = ["127.0.0.1", "localhost", "::1"] if host in _EVERYWHERE else [host, "localhost"] if host == "127.0.0.1" else [host]
    candidates = [*tls.names, *own, *(name for name in certificate.names if not name.startswith("*."))]
    covered = [name for name in candidates if not name.startswith("*.") and certificate.covers(name)]
    if not covered:
        raise Failure(
            f"{tls.certificate} is for {', '.join(certificate.names) or 'no host at all'}",
            "name the host that clients use, covered by it, with --tls-name",
        )
    reachable = next((name for name in covered if _resolves(name)), None)
    if reachable is None:
        raise Failure(
            f"{tls.certificate} is for {', '.join(covered)}, which no name service here knows",
            "let that name lead to this machine (/etc/hosts will do), or use a certificate that covers localhost",
        )
    return reachable


def served_certificate(data: DataDirectory, tls: Tls) -> Facts:
    """Of what the gateway serves with; raises OSError and CertificateProblem."""
    return facts((tls.certificate or data.tls / "server.pem").read_bytes())


def _given(tls: Tls) -> Facts:
    """Of the operator's certificate; raises Failure."""
    assert tls.certificate is not None
    key = tls.key or tls.certificate
    try:
        return check_pair(tls.certificate.read_bytes(), key.read_bytes(), time.time())
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read: {error.strerror}", "see to its path and its permissions") from error
    except CertificateProblem as problem:
        both = f"{tls.certificate}" if key == tls.certificate else f"{tls.certificate} and {key}"
        raise Failure(f"{both} cannot be used: {problem}", "give a pair that belongs together, or go without TLS: --no-tls") from problem


def _resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True
