"""The public key that targets check with what a load balancer tells them of somebody: GET /_longshore/elb-keys/KID, for everybody.

At AWS it is had from public-keys.auth.elb.REGION.amazonaws.com; the token's header has its name in `kid`.
"""

from __future__ import annotations

from aiohttp import web

from longshore.services.elbv2.claims import KEYS_ROUTE, Signer


class ClaimKeys:
    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(secret)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        if request.path.removeprefix(KEYS_ROUTE) != self._signer.kid:
            return web.Response(status=404, text="There is no such key.\n")
        return web.Response(body=self._signer.public_pem, content_type="application/x-pem-file")
