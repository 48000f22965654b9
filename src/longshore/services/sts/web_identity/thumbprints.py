"""Certificates that an account trusts by their thumbprint: for identity providers whose certificate is of no known authority.

A thumbprint (SHA-1, as AWS has it) names one certificate of the chain that the server shows. That alone becomes what the
connection is checked against: the chain must lead to it, and the host's name must be in the server's own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from hashlib import sha1

from yarl import URL

from longshore.kit.fetching import FetchFailed

_TIMEOUT_S = 5.0


async def pinned(url: str, thumbprints: Iterable[str], timeout_s: float = _TIMEOUT_S) -> ssl.SSLContext:
    """Trust in the certificates of those thumbprints alone; the server has `timeout_s` in all to show its own. Raises FetchFailed."""
    parts = URL(url)
    wanted = frozenset(thumbprints)
    try:
        shown = await _shown(parts.host or "", parts.port or 443, timeout_s)
    except (OSError, ValueError) as error:
        raise FetchFailed(f"{url}: {error}", timed_out=isinstance(error, TimeoutError)) from None
    anchors = [der for der in shown if sha1(der, usedforsecurity=False).hexdigest() in wanted]
    if not anchors:
        raise FetchFailed(f"{url}: its certificate is of no known authority and has none of the thumbprints", untrusted=True)
    context = ssl.create_default_context(cadata=b"".join(anchors))
    # an authority below a root, or the server's own certificate, is enough
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _shown(host: str, port: int, timeout_s: float) -> list[bytes]:
    """The chain that a server shows, in DER, believed for nothing yet. No thread waits for it: one that says its part a byte at a time
    would keep that from everybody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
        own = secured.getpeercert(binary_form=True)
        # what Python 3.13 calls SSLObject.get_unverified_chain
        inner = getattr(secured, "_sslobj", None)
        chain = getattr(secured, "get_unverified_chain", None) or getattr(inner, "get_unverified_chain", None)
        found = list(chain() or ()) if chain is not None else []
    finally:
        writer.transport.abort()
    ders = [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]
    return ders or ([own] if own else [])
