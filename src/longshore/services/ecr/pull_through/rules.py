"""Which rule speaks for a repository, and what it is called at the upstream. Pure look-ups."""

from __future__ import annotations

from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.pull_through.model import PULL_THROUGH_RULES, ROOT, PullThroughRule, rule_key
from longshore.store.base import Reader

#: where Docker Hub keeps what has no owner in its name: `nginx` is `library/nginx` there
_OFFICIAL = "library/"


def rule_for(reader: Reader, repository: RepositoryId) -> PullThroughRule | None:
    """The rule with the longest prefix that speaks for `repository`, be there such a repository or not."""
    if not reader.count(PULL_THROUGH_RULES):
        return None
    components = repository.name.split("/")
    prefixes = ["/".join(components[:count]) for count in range(len(components) - 1, 0, -1)]
    for prefix in (*prefixes, ROOT):
        rule = reader.get(PULL_THROUGH_RULES, rule_key(repository.region, repository.account_id, prefix))
        if rule is not None:
            return rule
    return None


def upstream_name(rule: PullThroughRule, name: str) -> str:
    """What the repository `name`, for which `rule` speaks, is called at the upstream."""
    below = name if rule.prefix == ROOT else name.removeprefix(rule.prefix.removesuffix("/") + "/")
    prefix = "" if rule.upstream_prefix in ("", ROOT) else rule.upstream_prefix.removesuffix("/") + "/"
    if not prefix and "/" not in below and rule.upstream_registry == "docker-hub":
        prefix = _OFFICIAL
    return prefix + below
