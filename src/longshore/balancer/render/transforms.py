"""What a rule changes in a request before a target sees it: the host header and the URL. Pure.

After all rules were looked at, so that nothing of it changes which one is chosen. The first place that the regular expression
finds is replaced; where it finds none, nothing is.
"""

from __future__ import annotations

import re

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.pages import error
from longshore.balancer.words import Unrenderable, argument, bounded, quoted

_HOST = "req.hdr(host),host_only"
_GROUP = re.compile(r"\$(\d)|\\|\$\$")


def transform_lines(transforms: tuple[shapes.RuleTransform, ...], when: str) -> list[str]:
    """`when` is the condition of whoever has chosen the rule (`{ … }`)."""
    lines: list[str] = []
    for transform in transforms:
        match transform:
            case shapes.RuleTransform(host_header_rewrite_config=shapes.HostHeaderRewriteConfig(rewrites=rewrites)):
                for rewrite in rewrites or ():
                    # The name without its port; a port that is wanted there is part of the replacement.
                    matches = f"{{ {_HOST} -m reg -i -- {quoted(bounded(rewrite.regex))} }}"
                    lines.append(f"http-request set-header Host {_rewritten(_HOST, rewrite, 'i')} if {when} {matches}")
                lines.append(error(500, "Internal Server Error", f" if {when} !{{ req.hdr(host) -m reg '^[A-Za-z0-9._:\\[\\]-]+$' }}"))
            case shapes.RuleTransform(url_rewrite_config=shapes.UrlRewriteConfig(rewrites=rewrites)):
                for rewrite in rewrites or ():
                    lines.append(f"http-request set-pathq {_rewritten('pathq', rewrite, '')} if {when}")
                # What does not begin with a slash is no place on a server.
                lines.append(error(500, "Internal Server Error", f" if {when} !{{ path -m beg / }}"))
            case _:
                raise Unrenderable(f"a transform of type {transform.type!r}")
    return lines


def _rewritten(fetch: str, rewrite: shapes.RewriteConfig, flags: str) -> str:
    further = f",{flags}" if flags else ""
    return quoted(f"%[{fetch},regsub({argument(bounded(rewrite.regex))},{argument(substitute(rewrite.replace))}{further})]")


def substitute(replace: str) -> str:
    """`$1` is a group, as `\\1` is for HAProxy, where a backslash stands for itself when it is doubled."""

    def put(found: re.Match[str]) -> str:
        return f"\\{found[1]}" if found[1] else {"\\": "\\\\", "$$": "$"}[found[0]]

    return _GROUP.sub(put, replace)
