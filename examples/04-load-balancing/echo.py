"""A small server of one's own behind the load balancer: /live gives back what it hears on a WebSocket; POST /break makes it unhealthy."""

from __future__ import annotations

import sys

from aiohttp import WSMsgType, web


class Live:
    broken = False

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=503 if self.broken else 200)

    async def set_broken(self, request: web.Request) -> web.Response:
        self.broken = request.path == "/break"
        return web.Response(status=204)

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(f"you come from {request.headers['X-Forwarded-For']} by {request.headers['X-Forwarded-Proto']}")
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await socket.send_str(f"you said {frame.data}")
        return socket


def main() -> None:
    live, app = Live(), web.Application()
    app.add_routes([web.get("/live", live.live), web.get("/health", live.health)])
    app.add_routes([web.post("/break", live.set_broken), web.post("/mend", live.set_broken)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


main()
