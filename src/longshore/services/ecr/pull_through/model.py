"""What is kept of the pull-through cache: its rules, and when each cached tag was last compared with its upstream.

A rule belongs to a registry and speaks for the repositories below its prefix. Prefixes are whole components: `hub` and `hub/`
are the same one and mean what begins with `hub/`, never `hubert`. The prefix ROOT speaks for whatever no other rule does.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind
from longshore.services.ecr.model import image_key, tag_key

ROOT = "ROOT"


def rule_key(region: str, account_id: str, prefix: str) -> str:
    return f"{region}:{account_id}:{prefix.removesuffix('/')}"


class PullThroughRule(msgspec.Struct, frozen=True, gc=False):
    region: str
    account_id: str
    #: as it was asked for, perhaps with a `/` at its end
    prefix: str
    #: as it was asked for: a host, perhaps with a scheme, a port and a path
    upstream_url: str
    created_at: float
    updated_at: float
    #: one of AWS's names of upstreams, "" for any other registry
    upstream_registry: str = ""
    credential_arn: str = ""
    #: what stands before the name at the upstream; ROOT for nothing
    upstream_prefix: str = ROOT

    @property
    def key(self) -> str:
        return rule_key(self.region, self.account_id, self.prefix)


PULL_THROUGH_RULES: Kind[PullThroughRule] = Kind(
    name="ecr.pull_through_rule",
    type=PullThroughRule,
    key=lambda rule: rule.key,
    indexes={"scope": lambda rule: (f"{rule.region}:{rule.account_id}",)},
)


class CachedTag(msgspec.Struct, frozen=True, gc=False):
    """A tag that came from upstream, and when it was last known to stand there for this very digest."""

    repository: str
    tag: str
    digest: str
    checked_at: float


CACHED_TAGS: Kind[CachedTag] = Kind(
    name="ecr.cached_tag",
    type=CachedTag,
    key=lambda cached: tag_key(cached.repository, cached.tag),
    indexes={
        "repository": lambda cached: (cached.repository,),
        "image": lambda cached: (image_key(cached.repository, cached.digest),),
    },
)
