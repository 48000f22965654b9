"""What a listener proves itself with, as options of its `bind` lines. Pure."""

from __future__ import annotations

from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable


def bind_options(front: Front, places: Places) -> str:
    """With a blank in front; empty for listeners without TLS."""
    if front.listener.protocol in ("HTTP", "TCP"):
        return ""
    raise Unrenderable(f"{front.listener.protocol} listeners are not served yet")
