"""What a listener can prove itself with: its certificates as the store has them, and what is wrong with one that cannot be shown.

A certificate that HAProxy would not load must not get into its configuration, where it would take its neighbours along. So
each is looked at once: that it can be read, that its key can be opened, and that the two belong together. That one has ended
is no reason to stop showing it (Elastic Load Balancing does not either); a load balancer's state tells of it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from longshore.balancer.snapshot import Proof, Trust
from longshore.kit.certificates import CertificateProblem, certificates, check_pair, facts
from longshore.kit.sealing import Keys, SealBroken, unseal
from longshore.services.acm.material import find_certificate
from longshore.services.acm.model import PURPOSE
from longshore.services.elbv2.model import TRUST_STORE_REVOCATIONS, TRUST_STORES, Listener, trust_stores_of
from longshore.store.base import Reader


def proofs_of(reader: Reader, listener: Listener, secret: Keys) -> tuple[Proof, ...]:
    """The default certificate first, each once. `secret` is the installation's, with which keys are sealed."""
    found: list[Proof] = []
    for arn in dict.fromkeys(listener.certificates):
        certificate = find_certificate(reader, arn)
        if certificate is None:
            found.append(Proof(arn, problem="there is none any more"))
        elif not certificate.certificate:
            found.append(Proof(arn, problem="it has not been issued yet"))
        else:
            found.append(_proof(arn, certificate.certificate, certificate.chain, certificate.sealed_key, secret))
    return tuple(found)


@lru_cache(maxsize=4096)
def _proof(arn: str, certificate: bytes, chain: bytes, sealed_key: bytes, secret: Keys) -> Proof:
    # Not of the key as it is sealed, which it may be anew: the certificate says which key it is.
    digest = hashlib.sha256(b"\0".join((certificate, chain))).hexdigest()[:32]
    try:
        known = facts(certificate)
        if chain.strip():
            certificates(chain)
        # Whether it is valid at present is not asked here: that changes by itself.
        check_pair(certificate, unseal(secret, PURPOSE, sealed_key), min(known.not_before, known.not_after - 1))
    except CertificateProblem as problem:
        return Proof(arn, digest, problem=str(problem))
    except SealBroken:
        return Proof(arn, digest, problem="its private key is not sealed with this installation's key")
    return Proof(arn, digest, known.names, known.not_after)


def trust_of(reader: Reader, listener: Listener) -> Trust | None:
    """Whom its clients' certificates are to come from; None where they are not verified."""
    for arn in trust_stores_of(listener):
        store = reader.get(TRUST_STORES, arn)
        if store is None:
            return None
        lists = (revocation.content.strip() for revocation in reader.list(TRUST_STORE_REVOCATIONS, "trust_store", arn))
        return Trust(store.bundle, b"".join(content + b"\n" for content in lists if content))
    return None
