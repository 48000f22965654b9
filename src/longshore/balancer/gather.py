"""Reads from the store what the load balancers are to be."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.balancer.proofs import proofs_of, trust_of
from longshore.balancer.snapshot import Front, Pool, Snapshot
from longshore.balancer.words import address_of
from longshore.kit.sealing import Keys
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TARGETS,
    LoadBalancer,
    target_groups_of,
)
from longshore.store.base import Reader


def gather(reader: Reader, network: str, privileged_port_offset: int, installation_secret: Keys = b"") -> Snapshot:
    load_balancers = tuple(reader.list(LOAD_BALANCERS))
    fronts: list[Front] = []
    owners: dict[str, LoadBalancer] = {}
    for lb in load_balancers:
        for listener in reader.list(LISTENERS, "load_balancer", lb.arn):
            rules = tuple(sorted(reader.list(RULES, "listener", listener.arn), key=lambda rule: rule.priority))
            port = listener.port + (privileged_port_offset if listener.port < 1024 else 0)
            proofs = proofs_of(reader, listener, installation_secret)
            arns = [arn for actions in (listener.default_actions, *(rule.actions for rule in rules)) for arn in target_groups_of(actions)]
            owners.update((arn, lb) for arn in arns if arn not in owners)
            fronts.append(
                Front(
                    lb,
                    listener,
                    rules,
                    address_of(lb.slot, network),
                    port,
                    proofs=proofs,
                    trust=trust_of(reader, listener),
                    fewest=_fewest(reader, arns),
                )
            )
    pools: list[Pool] = []
    for arn, lb in sorted(owners.items()):
        group = reader.get(TARGET_GROUPS, arn)
        if group is not None:
            pools.append(Pool(group, lb, tuple(reader.list(TARGETS, "target_group", arn))))
    return Snapshot(load_balancers, tuple(_behind_others(fronts, pools)), tuple(pools))


def _behind_others(fronts: list[Front], pools: list[Pool]) -> list[Front]:
    targets = {(target.id, target.port) for pool in pools if pool.group.target_type == "alb" for target in pool.targets}
    if not targets:
        return fronts
    return [replace(front, is_behind=(front.load_balancer.arn, front.listener.port) in targets) for front in fronts]


def _fewest(reader: Reader, target_group_arns: Iterable[str]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for arn in target_group_arns:
        group = reader.get(TARGET_GROUPS, arn)
        if group is not None and group.fewest_healthy != (1, 0):
            found[arn] = group.fewest_healthy
    return found


def gather_pool(reader: Reader, target_group_arn: str) -> Pool | None:
    """One group alone; None unless a listener or rule forwards to it."""
    group = reader.get(TARGET_GROUPS, target_group_arn)
    if group is None:
        return None
    for listener in reader.list(LISTENERS, "target_group", target_group_arn):
        lb = reader.get(LOAD_BALANCERS, listener.load_balancer_arn)
        if lb is not None:
            return Pool(group, lb, tuple(reader.list(TARGETS, "target_group", target_group_arn)))
    for rule in reader.list(RULES, "target_group", target_group_arn):
        of_rule = reader.get(LISTENERS, rule.listener_arn)
        lb = reader.get(LOAD_BALANCERS, of_rule.load_balancer_arn) if of_rule else None
        if lb is not None:
            return Pool(group, lb, tuple(reader.list(TARGETS, "target_group", target_group_arn)))
    return None
