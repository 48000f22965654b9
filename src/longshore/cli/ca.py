"""`longshore ca`: the certificate authority of this installation, for whoever is to trust it.

It issues what the gateway proves itself with, unless that is the operator's own, and the certificates that ACM is asked for.

Docker Engine accepts any certificate from 127.0.0.0/8, so on this machine it needs nothing. Podman, buildah and skopeo read
the same directories as Docker Engine does for other addresses (`certs.d/HOST:PORT/ca.crt`); `--install` puts the certificate there.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory, PlatformConfig, read_platform
from longshore.kit.certificates import CertificateProblem, certificates, facts

#: read by Docker Engine and, for root, by podman, buildah and skopeo
SYSTEM_CERTIFICATES = Path("/etc/docker/certs.d")


class Root(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `ca -o json` prints."""

    #: where it lies
    file: str
    subject: str
    #: SHA-256, as `openssl x509 -fingerprint -sha256` shows it
    fingerprint: str
    #: seconds since the epoch
    not_after: float
    certificate: str


def root_of(data: DataDirectory) -> Root:
    """What clients of this installation are to trust; raises Failure when there is nothing."""
    file = _bundle(data)
    if file is None:
        raise Failure("the certificate in use is one that clients trust already", "there is nothing to install")
    try:
        found = facts(file.read_bytes())
        # the operator's own for the gateway, and the authority of load balancers' certificates after it
        files = dict.fromkeys(each for each in (file, data.ca_file) if each == file or each.exists())
        # an operator's file may hold the key as well: nothing but certificates is shown
        content = b"".join(each.public_bytes(Encoding.PEM) for path in files for each in certificates(path.read_bytes()))
    except FileNotFoundError:
        raise Failure(f"{data.root} has no certificate authority yet", "`longshore up` makes it", ExitCode.FAILED) from None
    except (OSError, CertificateProblem) as problem:
        raise Failure(f"{file} cannot be read: {problem}", "run the command as the user who started the platform") from problem
    return Root(
        file=str(file), subject=found.subject, fingerprint=found.fingerprint, not_after=found.not_after, certificate=content.decode()
    )


def install(root: Root, data: DataDirectory, home: Path) -> list[Path]:
    """Puts the certificate where container tools look for it, for each name of the registry; gives the files written."""
    directory = SYSTEM_CERTIFICATES if os.geteuid() == 0 else home / ".config" / "containers" / "certs.d"
    written = []
    for registry in _registries(data):
        file = directory / registry / "ca.crt"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(root.certificate)
        except OSError as error:
            raise Failure(f"{file} cannot be written: {error.strerror}", "see to its permissions") from error
        written.append(file)
    return written


def _bundle(data: DataDirectory) -> Path | None:
    platform = _platform(data)
    if platform is None or platform.server is None or platform.server.tls is None:
        return data.ca_file
    if platform.server.tls.ca_bundle is None and data.ca_file.exists():
        # clients trust the gateway as it is; what load balancers prove themselves with is issued here all the same
        return data.ca_file
    return platform.server.tls.ca_bundle


def _registries(data: DataDirectory) -> list[str]:
    """Host and port of the registry as its image names have it, and under its other names."""
    platform = _platform(data)
    if platform is None or platform.server is None:
        raise Failure("it is not known where the registry of this platform is", "start it with `longshore up --tls` first")
    server = platform.server
    names = [f"localhost:{server.port}", f"{server.account_id}.dkr.ecr.{server.region}.localhost:{server.port}"]
    further = [f"{name}:{server.port}" for name in (server.tls.names if server.tls else ()) if not name.startswith("*.")]
    return list(dict.fromkeys([server.registry, *names, *further]))


def _platform(data: DataDirectory) -> PlatformConfig | None:
    try:
        return read_platform(data.platform_file)
    except (OSError, msgspec.MsgspecError):
        return None
