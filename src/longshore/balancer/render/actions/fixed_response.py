"""An answer that the rule itself gives. Pure."""

from __future__ import annotations

import re

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.words import Unrenderable, quoted


def fixed_response_lines(action: shapes.Action, when: str, bodies: Bodies) -> list[str]:
    config = action.fixed_response_config
    if config is None or not re.fullmatch(r"[2-5]\d\d", config.status_code):
        raise Unrenderable("a fixed response without a status")
    content = ""
    if config.message_body and config.status_code != "204":  # which has none, whatever is given
        content = f" content-type {quoted(config.content_type or 'text/plain')} file {quoted(bodies.path(config.message_body))}"
    return [f"http-request return status {config.status_code}{content} hdr Server awselb/2.0 {when}"]
