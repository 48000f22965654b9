"""An answer that leads elsewhere, made of parts of what was asked. Pure."""

from __future__ import annotations

import re

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.pages import page_content
from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable, literal, quoted

_PLACEHOLDER = re.compile(r"#\{(protocol|host|port|path|query)\}")
_CODES = {"HTTP_301": (301, "Moved Permanently"), "HTTP_302": (302, "Found")}
_HOST = "%[req.hdr(host),host_only,lower]"


def redirect_lines(action: shapes.Action, when: str, front: Front) -> list[str]:
    config = action.redirect_config
    if config is None:
        raise Unrenderable("a redirect without a destination")
    status, words = _CODES[config.status_code]
    known = {
        "protocol": front.listener.protocol.lower(),
        "host": _HOST,
        "port": str(front.port),
        "path": "%[path,bytes(1)]",
        "query": "%[query]",
    }
    protocol = _filled((config.protocol or "#{protocol}").lower(), known)
    host = _filled(config.host or "#{host}", known)
    port = _filled(config.port or "#{port}", known)
    path = _filled(config.path or "/#{path}", known)
    wanted_query = "#{query}" if config.query is None else config.query
    place = f"{protocol}://{host}:{port}{path}"

    def line(location: str, further: str = "") -> str:
        content = page_content(status, words)
        return f"http-request return status {status} {content} hdr Server awselb/2.0 hdr Location {quoted(location)} {when}{further}"

    if not wanted_query:
        return [line(place)]
    with_query = f"{place}?{_filled(wanted_query, known)}"
    if wanted_query != "#{query}":
        return [line(with_query)]
    return [line(with_query, " { query -m len gt 0 }"), line(place)]


def _filled(text: str, known: dict[str, str]) -> str:
    parts: list[str] = []
    position = 0
    for found in _PLACEHOLDER.finditer(text):
        parts += [literal(text[position : found.start()]), known[found[1]]]
        position = found.end()
    return "".join([*parts, literal(text[position:])])
