"""Beyond AWS: tasks moved to where they balance better. Planned and shown, started, looked at, stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from functools import partial

from msgspec.structs import replace

from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import ClientException, ConflictException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.lookup import child_arn, cluster_arn, find_cluster, find_service
from longshore.services.ecs.model import CONTAINER_INSTANCES, Cluster
from longshore.services.ecs.outlook.seen import Scheduler
from longshore.services.ecs.rebalance import shapes
from longshore.services.ecs.rebalance.model import REBALANCES, Move, Rebalance
from longshore.services.ecs.rebalance.plan import Decided, Group, Host, World, plan
from longshore.services.ecs.rebalance.world import group_of, hosts_of
from longshore.services.ecs.rollout.model import SERVICES, Service
from longshore.store.base import Reader, Tx

#: moves in one plan unless asked for otherwise, and rebalances remembered for each cluster
MOST_MOVES, REMEMBERED = 100, 20
#: instances times services that are decided about in a few milliseconds
_AT_ONCE = 100

Asked = shapes.PlanRebalanceRequest | shapes.StartRebalanceRequest


def _resource(call: Call, request: Asked) -> Iterable[str]:
    if request.service:
        return (child_arn(call, request.cluster, "service", request.service),)
    return (cluster_arn(call, request.cluster),)


def _cluster(call: Call, request: shapes.DescribeRebalancesRequest | shapes.StopRebalanceRequest) -> Iterable[str]:
    return (cluster_arn(call, request.cluster),)


def _condition(call: Call, request: Asked | shapes.DescribeRebalancesRequest | shapes.StopRebalanceRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("LongshorePlanRebalance", resource=_resource, conditions=_condition, shape=shapes.PLAN_REBALANCE)
async def plan_rebalance(call: Call, request: shapes.PlanRebalanceRequest) -> shapes.PlanRebalanceResponse:
    """Changes nothing. Raises ServiceNotFoundException."""
    cluster, _, world, left = await _look(call, request)
    decided = await _decide(world, request.max_moves or MOST_MOVES)
    left_alone = tuple(shapes.ServiceBalance(service_arn=arn, left_because=why) for arn, why in left.items())
    return shapes.PlanRebalanceResponse(
        cluster_arn=cluster.arn,
        moves=tuple(_move_view(one) for one in _moves(decided)),
        services=(*_service_balances(world, decided), *left_alone),
        instances=tuple(_instance_balance(call.store, host, world, decided) for host in world.hosts),
    )


async def _look(call: Call, request: Asked) -> tuple[Cluster, list[Service], World, dict[str, str]]:
    """In transactions, because what placement decides from is up to date nowhere else; nothing is written. One for each service, so
    that in a large cluster nobody waits for long: whatever changes in between, moves are looked at again when they are made."""
    scheduler, now = _scheduler(call), call.clock.now()
    cluster = find_cluster(call.store, call, request.cluster)
    services = _services(call.store, call, cluster, request)
    groups: list[Group] = []
    left: dict[str, str] = {}
    for service in services:
        group, why = await call.store.transact(partial(group_of, service=service, scheduler=scheduler, now=now))
        if group is not None:
            groups.append(group)
        else:
            left[service.arn] = why
    hosts = await call.store.transact(partial(hosts_of, cluster_arn=cluster.arn))
    return cluster, services, World(hosts, tuple(groups)), left


async def _decide(world: World, most_moves: int) -> Decided:
    """Beside the loop where it takes longer than an answer to others may wait."""
    if len(world.hosts) * len(world.groups) <= _AT_ONCE:
        return plan(world, most_moves)
    return await asyncio.get_running_loop().run_in_executor(None, plan, world, most_moves)


def _scheduler(call: Call) -> Scheduler:
    if call.scheduler is None:
        raise UnsupportedFeatureException("No scheduler runs beside this server.")
    return call.scheduler


def _services(reader: Reader, call: Call, cluster: Cluster, request: Asked) -> list[Service]:
    if request.service:
        return [find_service(reader, call, cluster, request.service)]
    return reader.list(SERVICES, "cluster", cluster.arn)


def _moves(decided: Decided) -> list[Move]:
    return [
        Move(
            task_arn=one.task_arn,
            service_arn=one.service_arn,
            from_instance_arn=one.from_arn,
            to_instance_arn=one.to_arn,
            reason=one.reason,
        )
        for one in decided.moves
    ]


# ── before and after ────────────────────────────────────────────────────────────────────────────────────────────────


def _service_balances(world: World, decided: Decided) -> list[shapes.ServiceBalance]:
    zones = {host.arn: host.zone for host in world.hosts}
    balances: list[shapes.ServiceBalance] = []
    for group in world.groups:
        after = decided.counts.get(group.service_arn, {})
        balances.append(
            shapes.ServiceBalance(
                service_arn=group.service_arn,
                zones_before=_by_zone(group.counts, zones),
                zones_after=_by_zone(after, zones),
                instances_before=len(group.counts),
                instances_after=len(after),
                most_on_one_before=max(group.counts.values(), default=0),
                most_on_one_after=max(after.values(), default=0),
            )
        )
    return balances


def _by_zone(counts: dict[str, int], zones: dict[str, str]) -> dict[str, int]:
    """Of zones that have an instance to take tasks; a zone without a task is told, too."""
    tally = Counter(dict.fromkeys(zones.values(), 0))
    for arn, count in counts.items():
        tally[zones.get(arn, "")] += count
    return {zone: tally[zone] for zone in sorted(tally)}


def _instance_balance(reader: Reader, host: Host, world: World, decided: Decided) -> shapes.InstanceBalance:
    instance = reader.get(CONTAINER_INSTANCES, host.arn)
    free = decided.free[host.arn]
    return shapes.InstanceBalance(
        container_instance_arn=host.arn,
        ec2_instance_id=instance.ec2_instance_id if instance is not None else "",
        availability_zone=host.zone,
        cpu_percent_before=_percent(host.capacity[0], host.free[0]),
        cpu_percent_after=_percent(host.capacity[0], free[0]),
        memory_percent_before=_percent(host.capacity[1], host.free[1]),
        memory_percent_after=_percent(host.capacity[1], free[1]),
        tasks_before=sum(group.counts.get(host.arn, 0) for group in world.groups),
        tasks_after=sum(counts.get(host.arn, 0) for counts in decided.counts.values()),
    )


def _percent(capacity: int, free: int) -> int:
    return (100 * (capacity - free)) // capacity if capacity else 0


# ── carried out ─────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("LongshoreStartRebalance", resource=_resource, conditions=_condition, shape=shapes.START_REBALANCE)
async def start_rebalance(call: Call, request: shapes.StartRebalanceRequest) -> shapes.StartRebalanceResponse:
    """Plans and begins; one at a time in each cluster. Raises ConflictException, and ClientException where there is nothing to move."""
    cluster, services, world, _ = await _look(call, request)
    moves = tuple(_moves(await _decide(world, request.max_moves or MOST_MOVES)))
    now, identifier = call.clock.now(), call.ids.hex(32)

    def start(tx: Tx) -> Rebalance:
        find_cluster(tx, call, cluster.arn)
        going_on = tx.list(REBALANCES, "open", cluster.arn)
        if going_on:
            raise ConflictException("A rebalance of this cluster is going on.", resourceIds=[going_on[0].arn])
        if not moves:
            raise ClientException("There is nothing to move.")
        _forget(tx, cluster)
        return tx.put(
            REBALANCES,
            Rebalance(
                arn=call.arn("ecs", f"longshore-rebalance/{cluster.name}/{identifier}"),
                cluster_arn=cluster.arn,
                service_arn=services[0].arn if request.service else "",
                created_at=now,
                created_by=call.principal.arn,
                updated_at=now,
                moves=moves,
                max_concurrent=request.max_concurrent or 1,
            ),
        )

    return shapes.StartRebalanceResponse(rebalance=_view(await call.store.transact(start)))


def _forget(tx: Tx, cluster: Cluster) -> None:
    kept = sorted(tx.list(REBALANCES, "cluster", cluster.arn), key=lambda one: one.created_at)
    for old in kept[: max(0, len(kept) + 1 - REMEMBERED)]:
        tx.delete(REBALANCES, old.arn)


@api.operation("LongshoreDescribeRebalances", resource=_cluster, conditions=_condition, shape=shapes.DESCRIBE_REBALANCES)
async def describe_rebalances(call: Call, request: shapes.DescribeRebalancesRequest) -> shapes.DescribeRebalancesResponse:
    """What is not known is left out."""
    cluster = find_cluster(call.store, call, request.cluster)
    found = sorted(call.store.list(REBALANCES, "cluster", cluster.arn), key=lambda one: one.created_at, reverse=True)
    named = request.rebalances
    return shapes.DescribeRebalancesResponse(rebalances=tuple(_view(one) for one in found if named is None or one.arn in named))


@api.operation("LongshoreStopRebalance", resource=_cluster, conditions=_condition, shape=shapes.STOP_REBALANCE)
async def stop_rebalance(call: Call, request: shapes.StopRebalanceRequest) -> shapes.StopRebalanceResponse:
    """Moves under way are finished, and no other is begun. Stopping what is over changes nothing."""
    now = call.clock.now()

    def stop(tx: Tx) -> Rebalance:
        cluster = find_cluster(tx, call, request.cluster)
        found = tx.get(REBALANCES, request.rebalance)
        if found is None or found.cluster_arn != cluster.arn:
            raise InvalidParameterException("The specified rebalance was not found.")
        if found.status != "IN_PROGRESS":
            return found
        return tx.put(REBALANCES, replace(found, status="STOPPING", updated_at=now))

    return shapes.StopRebalanceResponse(rebalance=_view(await call.store.transact(stop)))


def _view(one: Rebalance) -> shapes.RebalanceView:
    return shapes.RebalanceView(
        rebalance_arn=one.arn,
        cluster_arn=one.cluster_arn,
        service_arn=one.service_arn,
        status=one.status,  # type: ignore[arg-type]
        created_at=one.created_at,
        created_by=one.created_by,
        updated_at=one.updated_at,
        finished_at=one.finished_at,
        max_concurrent=one.max_concurrent,
        moves=tuple(_move_view(move) for move in one.moves),
    )


def _move_view(move: Move) -> shapes.MoveView:
    return shapes.MoveView(
        task_arn=move.task_arn,
        service_arn=move.service_arn,
        from_instance_arn=move.from_instance_arn,
        to_instance_arn=move.to_instance_arn,
        reason=move.reason,
        status=move.status,  # type: ignore[arg-type]
        new_task_arn=move.new_task_arn,
        detail=move.detail,
    )
