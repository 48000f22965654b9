"""What HAProxy counts of target groups, for whoever decides over a deployment by it."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.balancer.runtime import Runtime, RuntimeFailed
from longshore.balancer.words import NOBODY, OPEN, backend_name
from longshore.services.ecs.outlook.counts import GroupTraffic, Traffic


async def counted(runtime: Runtime, group_arns: Sequence[str]) -> Traffic | None:
    """None while HAProxy does not answer. Counts begin anew with each of its workers."""
    try:
        counts = await runtime.counts()
        worker = (await runtime.identity()).pid
    except RuntimeFailed:
        return None
    unserved = counts.get(NOBODY)
    groups: list[GroupTraffic] = []
    for arn in group_arns:
        found = [counts[name] for name in (backend_name(arn), backend_name(arn) + OPEN) if name in counts]
        groups.append(
            GroupTraffic(
                target_group_arn=arn,
                requests=sum(one.requests for one in found),
                failed=sum(one.failed for one in found),
                connect_errors=sum(one.connect_errors for one in found),
                retries=sum(one.retries for one in found),
            )
        )
    return Traffic(target_groups=tuple(groups), unserved=unserved.failed if unserved else 0, counter=str(worker))
