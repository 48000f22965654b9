"""The public key that targets check with what a load balancer tells them of somebody: GET /_longshore/elb-keys/KID, for everybody.

At AWS it is had from public-keys.auth.elb.REGION.amazonaws.com; the token's header has its name in `kid`.
"""

from __future__ import annotations

from aiohttp import web

from longshore.kit.sealing import Keys
from longshore.services.elbv2.claims import KEYS_ROUTE, Signers


class ClaimKeys:
    def __init__(self, secret: Keys) -> None:
        self._signers = Signers(secret)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        signer = self._signers.find(request.path.removeprefix(KEYS_ROUTE))
        if signer is None:
            return web.Response(status=404, text="There is no such key.\n")
        return web.Response(body=signer.public_pem, content_type="application/x-pem-file")
