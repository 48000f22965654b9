"""Transforms of rules: what AWS accepts. At most one of the host header and one of the URL, each with one rewrite. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.regexes import check_regex, groups_of

MOST_LENGTH = 1024
#: printable, without the blank that ends a URL
_REPLACE = re.compile(r"[\x21-\x7e]*")
_HOST_REPLACE = re.compile(r"[A-Za-z0-9.:$_-]*")
_GROUP = re.compile(r"\$(\d*)")


def checked_transforms(transforms: Iterable[shapes.RuleTransform]) -> tuple[shapes.RuleTransform, ...]:
    """Raises Validation for what AWS refuses."""
    checked = tuple(transforms)
    types = [transform.type for transform in checked]
    for type in types:
        if types.count(type) > 1:
            raise Validation(f"A rule can only have one '{type}' transform")
    for transform in checked:
        for rewrite in _rewrites(transform):
            _check(rewrite, transform.type)
    return checked


def _rewrites(transform: shapes.RuleTransform) -> tuple[shapes.RewriteConfig, ...]:
    is_host = transform.type == "host-header-rewrite"
    config, other = transform.host_header_rewrite_config, transform.url_rewrite_config
    if not is_host:
        foreign, rewrites = config is not None, other.rewrites if other else None
    else:
        foreign, rewrites = other is not None, config.rewrites if config else None
    if foreign:
        raise Validation(f"A transform of type '{transform.type}' cannot have the configuration of another type")
    if not rewrites:
        raise Validation(f"A transform of type '{transform.type}' must have a rewrite")
    if len(rewrites) > 1:
        raise Validation(f"A transform of type '{transform.type}' can only have one rewrite")
    return rewrites


def _check(rewrite: shapes.RewriteConfig, type: str) -> None:
    check_regex(rewrite.regex, MOST_LENGTH)
    if len(rewrite.replace) > MOST_LENGTH:
        raise Validation(f"The replacement '{rewrite.replace}' cannot be longer than '{MOST_LENGTH}' characters")
    allowed = _HOST_REPLACE if type == "host-header-rewrite" else _REPLACE
    if not allowed.fullmatch(rewrite.replace):
        raise Validation(f"The replacement '{rewrite.replace}' contains a character that is not valid")
    groups = groups_of(rewrite.regex)
    for found in _GROUP.finditer(rewrite.replace.replace("$$", "")):
        if len(found[1]) != 1 or int(found[1]) > groups:
            raise Validation(f"The replacement '{rewrite.replace}' names a group '{found[0]}' that the regular expression does not have")
