"""A listener's attributes: how headers to targets are called, and which ones clients get with every answer. Pure."""

from __future__ import annotations

import re

from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable, literal, quoted

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
#: last part but one of the attribute's key -> header
_RESPONSE = {
    "strict_transport_security": "Strict-Transport-Security",
    "access_control_allow_origin": "Access-Control-Allow-Origin",
    "access_control_allow_methods": "Access-Control-Allow-Methods",
    "access_control_allow_headers": "Access-Control-Allow-Headers",
    "access_control_allow_credentials": "Access-Control-Allow-Credentials",
    "access_control_expose_headers": "Access-Control-Expose-Headers",
    "access_control_max_age": "Access-Control-Max-Age",
    "content_security_policy": "Content-Security-Policy",
    "x_content_type_options": "X-Content-Type-Options",
    "x_frame_options": "X-Frame-Options",
}


def request_header(front: Front, name: str) -> str:
    """What the header `name` (`x_amzn_tls_version`, `x_amzn_mtls_clientcert_leaf`, …) is called on its way to targets."""
    usual = "-".join(part.capitalize() for part in name.split("_"))
    wanted = front.listener.attributes.get(f"routing.http.request.{name}.header_name") or usual
    if not _NAME.fullmatch(wanted):
        raise Unrenderable(f"{wanted!r} is no header's name")
    return quoted(wanted)


def response_lines(front: Front) -> list[str]:
    """For every answer, those that no target has given as well. Headers of the same name are replaced."""
    lines: list[str] = []
    for key, header in _RESPONSE.items():
        value = front.listener.attributes.get(f"routing.http.response.{key}.header_value", "")
        if value:
            lines.append(f"http-after-response set-header {header} {quoted(literal(value))}")
    if front.listener.attributes.get("routing.http.response.server.enabled") == "false":
        lines.append("http-after-response del-header Server")
    return lines
