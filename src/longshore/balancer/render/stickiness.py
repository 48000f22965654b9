"""Clients that come back to the same target. Pure.

By a cookie of ours, which names the target so that only we can read it, and which every answer makes good for as long again.
Or by one of the application's: which target a value of it led to is remembered in a table (memory.py carries it over reloads).
"""

from __future__ import annotations

from longshore.balancer.words import argument, quoted
from longshore.services.elbv2.model import TargetGroup

_STICKY_DEFAULT_S = 86_400


def stickiness(group: TargetGroup, secret: str) -> list[str]:
    attributes = group.attributes
    if attributes.get("stickiness.enabled") != "true":
        return []
    if is_by_app_cookie(group):
        name = argument(attributes["stickiness.app_cookie.cookie_name"])
        seconds = int(attributes.get("stickiness.app_cookie.duration_seconds", _STICKY_DEFAULT_S))
        return [
            f"stick-table type string len 128 size 100k expire {seconds}s srvkey addr",
            f"stick on {quoted(f'req.cook({name})')}",
            f"stick store-response {quoted(f'res.cook({name})')}",
        ]
    seconds = int(attributes.get("stickiness.lb_cookie.duration_seconds", _STICKY_DEFAULT_S))
    # Without a time, a cookie ends with the browser's session: a Classic load balancer's may.
    until = f"Expires=%[date({seconds}),http_date]; Path=/" if seconds else "Path=/"
    cookie = "AWSELB" if group.classic else "AWSALB"
    value = "%[var(txn.alb)]"
    is_known = "if { var(txn.alb) -m found }"
    is_new = f"{{ res.cook({cookie}) -m found }}"
    return [
        f"cookie {cookie} insert indirect nocache dynamic",
        f"dynamic-cookie-key {secret}",
        f"http-request set-var(txn.alb) req.cook({cookie})",
        f"http-after-response set-var(txn.alb) res.cook({cookie}) if {is_new}",
        f"http-after-response replace-header Set-Cookie '^{cookie}=.*$' '{cookie}={value}; {until}' if {is_new}",
        f"http-after-response add-header Set-Cookie '{cookie}={value}; {until}' {is_known} !{is_new}",
        f"http-after-response add-header Set-Cookie '{cookie}CORS={value}; {until}; SameSite=None; Secure' {is_known}",
    ]


def is_by_app_cookie(group: TargetGroup) -> bool:
    attributes = group.attributes
    is_sticky = group.protocol in ("HTTP", "HTTPS") and attributes.get("stickiness.enabled") == "true"
    return is_sticky and attributes.get("stickiness.type", "lb_cookie") == "app_cookie"
