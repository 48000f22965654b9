"""Contents of trust stores, for whoever has been given a link to one: GET /_longshore/trust-stores/TOKEN.

The token is what a presigned address of S3 is at AWS: it names one content, is sealed with the installation's secret and ends
after ten minutes. The request itself is not signed.
"""

from __future__ import annotations

from aiohttp import web

from longshore.aws.errors import AccessDenied
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.services.elbv2.model import TRUST_STORE_REVOCATIONS, TRUST_STORES, revocation_key
from longshore.services.elbv2.trust_stores import CONTENT_ROUTE, opened_by
from longshore.store.base import Store


class TrustFiles:
    def __init__(self, store: Store, clock: Clock, secret: Keys) -> None:
        self._store = store
        self._clock = clock
        self._secret = secret

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        token = request.path.removeprefix(CONTENT_ROUTE)
        try:
            arn, revocation_id = opened_by(self._secret, token, self._clock.now(), AccessDenied("The link is not valid, or has ended."))
        except AccessDenied as denied:
            return web.Response(status=denied.status, text=denied.message + "\n")
        content = self._content(arn, revocation_id)
        if content is None:
            return web.Response(status=404, text="It has been deleted.\n")
        return web.Response(body=content, content_type="application/x-pem-file")

    def _content(self, arn: str, revocation_id: int) -> bytes | None:
        if revocation_id:
            revocation = self._store.get(TRUST_STORE_REVOCATIONS, revocation_key(arn, revocation_id))
            return revocation.content if revocation is not None else None
        store = self._store.get(TRUST_STORES, arn)
        return store.bundle if store is not None else None
