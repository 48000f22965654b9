"""Metrics of one minute, made of what was counted in it. Pure.

Names, units and dimensions are CloudWatch's. As there, what did not happen is not told: a count of zero leaves no point, but for
those that say how many targets there are. What HAProxy does not count, and no line tells, is left out (docs/metrics-and-logs.md
lists it), never estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from longshore.balancer.access_log.tally import Told
from longshore.balancer.metrics import lcu
from longshore.balancer.metrics.counters import Counts, Place
from longshore.balancer.snapshot import Front, Pool, Snapshot
from longshore.balancer.words import OPEN, backend_name
from longshore.services.elbv2.model import LoadBalancer, Target, TargetGroup, scope_of
from longshore.store.metrics import Datum, Series, Statistics, merged, total

NAMESPACES = {"application": "AWS/ApplicationELB", "network": "AWS/NetworkELB", "classic": "AWS/ELB"}

Dimensions = tuple[tuple[str, str], ...]


class Minute(msgspec.Struct, frozen=True):
    """What is known of a minute."""

    #: seconds since the epoch, at which it began
    begun: int
    snapshot: Snapshot
    counts: Mapping[Place, Counts]
    #: what goes up and down, as it was at its end
    gauges: Mapping[Place, Counts]
    #: what lines say; may be of minutes before
    told: Sequence[Told] = ()


class _Data:
    def __init__(self, minute: int, scope: str, namespace: str) -> None:
        self.minute = minute
        self.scope = scope
        self.namespace = namespace
        self.found: list[Datum] = []

    def put(self, metric: str, unit: str, value: float, *dimensions: Dimensions, is_always: bool = False) -> None:
        if value > 0 or is_always:
            self.sets(metric, unit, total(value), *dimensions)

    def sets(self, metric: str, unit: str, statistics: Statistics, *dimensions: Dimensions) -> None:
        for each in dimensions:
            self.found.append(Datum(Series(self.scope, self.namespace, metric, tuple(sorted(each)), unit), self.minute, statistics))


def metrics_of(minute: Minute) -> list[Datum]:
    found: list[Datum] = []
    for lb in minute.snapshot.load_balancers:
        data = _Data(minute.begun, scope_of(lb.arn), NAMESPACES.get(lb.type, ""))
        fronts = [front for front in minute.snapshot.fronts if front.load_balancer.arn == lb.arn]
        pools = [pool for pool in minute.snapshot.pools if pool.load_balancer.arn == lb.arn]
        match lb.type:
            case "application":
                _application(data, lb, fronts, pools, minute)
            case "network":
                _network(data, lb, fronts, pools, minute)
            case "classic":
                _classic(data, lb, fronts, pools, minute)
        found += data.found
    for told in minute.told:
        found += _told(told, minute.snapshot)
    return found


def id_of(lb: LoadBalancer) -> str:
    return lb.name if lb.type == "classic" else lb.arn.rpartition(":loadbalancer/")[2]


def group_id(group: TargetGroup) -> str:
    return group.arn.rpartition(":")[2]


def front_counts(front: Front, counts: Mapping[Place, Counts]) -> Counts:
    name = f"{front.address}:{front.port}"
    # What follows says where else it listens.
    return _sum(
        counted
        for place, counted in counts.items()
        if place.side == "FRONTEND" and (place.proxy == name or place.proxy.startswith(f"{name}_"))
    )


def zone_of(target: Target) -> str:
    """Empty for one that is registered for all zones, which is none."""
    return "" if target.availability_zone == "all" else target.availability_zone


def zones_of(pool: Pool, counts: Mapping[Place, Counts], suffixes: tuple[str, ...] = ("", OPEN)) -> dict[str, Counts]:
    """Zone -> what a group's targets there did."""
    names = {backend_name(pool.group.arn) + suffix for suffix in suffixes}
    found: dict[str, Counts] = {}
    for place, of_place in counts.items():
        if place.side == "SERVERS" and place.proxy in names:
            found[place.zone] = _sum((found.get(place.zone, {}), of_place))
    return found


def _sum(many: Iterable[Mapping[str, int]]) -> Counts:
    result: Counts = {}
    for counts in many:
        for name, count in counts.items():
            result[name] = result.get(name, 0) + count
    return result


def _application(data: _Data, lb: LoadBalancer, fronts: list[Front], pools: list[Pool], minute: Minute) -> None:
    own = (("LoadBalancer", id_of(lb)),)
    front = _sum(front_counts(one, minute.counts) for one in fronts)
    targets = _targets(data, own, pools, minute)
    active = sum(front_counts(one, minute.gauges).get("scur", 0) for one in fronts)
    active += sum(zone.get("used_conn_cur", 0) for pool in pools for zone in zones_of(pool, minute.gauges).values())
    new = front.get("conn_tot", 0) + targets.get("connect", 0)
    moved = front.get("bin", 0) + front.get("bout", 0)
    rules = sum(front_counts(one, minute.counts).get("req_tot", 0) * len(one.rules) for one in fronts)
    data.put("ActiveConnectionCount", "Count", active, own)
    data.put("NewConnectionCount", "Count", new, own)
    data.put("ProcessedBytes", "Bytes", moved, own)
    data.put("RejectedConnectionCount", "Count", front.get("dcon", 0) + front.get("dses", 0), own)
    data.put("ClientTLSNegotiationErrorCount", "Count", front.get("ssl_failed_handshake", 0), own)
    data.put("RuleEvaluations", "Count", rules, own)
    for kind in ("3xx", "4xx", "5xx"):
        by_itself = front.get(f"hrsp_{kind}", 0) - targets.get(f"hrsp_{kind}", 0)
        data.put(f"HTTPCode_ELB_{kind.upper()}_Count", "Count", by_itself, own)
    use = lcu.Use(new, active, moved, rules, front.get("req_tot", 0))
    data.put("ConsumedLCUs", "Count", lcu.application(use).consumed, own)


def _targets(data: _Data, own: Dimensions, pools: list[Pool], minute: Minute) -> Counts:
    """Of an application load balancer's groups; returns what all of them did."""
    by_zone: dict[str, list[Counts]] = {}
    everything: Counts = {}
    for pool in pools:
        group: Dimensions = (("TargetGroup", group_id(pool.group)), *own)
        zones = zones_of(pool, minute.counts)
        of_group = _sum(zones.values())
        _did(data, of_group, group)
        for zone, counts in zones.items():
            if zone:
                by_zone.setdefault(zone, []).append(counts)
                _did(data, counts, (("AvailabilityZone", zone), *group))
        healthy = _hosts(data, pool, group, own)
        if healthy:
            data.put("RequestCountPerTarget", "Count", of_group.get("stot", 0) / healthy, group, group[:1])
        unchecked = _sum(zones_of(pool, minute.counts, (OPEN,)).values())
        data.put("UnhealthyRoutingRequestCount", "Count", unchecked.get("stot", 0), group)
        everything = _sum((everything, of_group))
    _did(data, everything, own)
    for zone, many in by_zone.items():
        _did(data, _sum(many), (("AvailabilityZone", zone), *own))
    return everything


def _did(data: _Data, counts: Counts, dimensions: Dimensions) -> None:
    data.put("RequestCount", "Count", counts.get("stot", 0), dimensions)
    for kind in ("2xx", "3xx", "4xx", "5xx"):
        data.put(f"HTTPCode_Target_{kind.upper()}_Count", "Count", counts.get(f"hrsp_{kind}", 0), dimensions)
    data.put("TargetConnectionErrorCount", "Count", counts.get("econ", 0), dimensions)
    data.put("TargetTLSNegotiationErrorCount", "Count", counts.get("ssl_failed_handshake", 0), dimensions)


def _hosts(data: _Data, pool: Pool, group: Dimensions, own: Dimensions) -> int:
    """How many are healthy, in all."""
    states: dict[str, dict[str, int]] = {}
    for target in pool.targets:
        zone = states.setdefault(zone_of(target), {})
        zone[target.health.state] = zone.get(target.health.state, 0) + 1
    whole = _sum(states.values())
    for zone_name, state in (("", whole), *states.items()):
        dimensions = (("AvailabilityZone", zone_name), *group) if zone_name else group
        if zone_name or state is whole:
            data.put("HealthyHostCount", "Count", state.get("healthy", 0), dimensions, is_always=True)
            data.put("UnHealthyHostCount", "Count", state.get("unhealthy", 0), dimensions, is_always=True)
    served = sum(1 for state in states.values() if state.get("healthy"))
    if pool.group.protocol in ("HTTP", "HTTPS") and data.namespace == NAMESPACES["application"]:
        data.put("HealthyStateRouting", "Count", served, group, is_always=True)
        data.put("UnhealthyStateRouting", "Count", len(states) - served, group, is_always=True)
    return whole.get("healthy", 0)


def _network(data: _Data, lb: LoadBalancer, fronts: list[Front], pools: list[Pool], minute: Minute) -> None:
    own = (("LoadBalancer", id_of(lb)),)
    units = 0.0
    for suffix, some in (("TCP", [one for one in fronts if not one.is_tls]), ("TLS", [one for one in fronts if one.is_tls])):
        if not some:
            continue
        counts = _sum(front_counts(one, minute.counts) for one in some)
        active = sum(front_counts(one, minute.gauges).get("scur", 0) for one in some)
        moved = counts.get("bin", 0) + counts.get("bout", 0)
        for metric, unit, value in (
            ("ActiveFlowCount", "Count", active),
            ("NewFlowCount", "Count", counts.get("conn_tot", 0)),
            ("ProcessedBytes", "Bytes", moved),
        ):
            data.put(f"{metric}_{suffix}", unit, value, own)
        spent = lcu.network(lcu.Use(counts.get("conn_tot", 0), active, moved), is_tls=suffix == "TLS").consumed
        data.put(f"ConsumedLCUs_{suffix}", "Count", spent, own)
        units += spent
    counts = _sum(front_counts(one, minute.counts) for one in fronts)
    data.put("ActiveFlowCount", "Count", sum(front_counts(one, minute.gauges).get("scur", 0) for one in fronts), own)
    data.put("NewFlowCount", "Count", counts.get("conn_tot", 0), own)
    data.put("ProcessedBytes", "Bytes", counts.get("bin", 0) + counts.get("bout", 0), own)
    data.put("RejectedFlowCount", "Count", counts.get("dcon", 0) + counts.get("dses", 0), own)
    data.put("ClientTLSNegotiationErrorCount", "Count", counts.get("ssl_failed_handshake", 0), own)
    data.put("ConsumedLCUs", "Count", units, own)
    for pool in pools:
        group: Dimensions = (("TargetGroup", group_id(pool.group)), *own)
        did = _sum(zones_of(pool, minute.counts).values())
        data.put("TCP_Client_Reset_Count", "Count", did.get("cli_abrt", 0), group)
        data.put("TCP_Target_Reset_Count", "Count", did.get("srv_abrt", 0), group)
        data.put("TargetTLSNegotiationErrorCount", "Count", did.get("ssl_failed_handshake", 0), group)
        _hosts(data, pool, group, own)


def _classic(data: _Data, lb: LoadBalancer, fronts: list[Front], pools: list[Pool], minute: Minute) -> None:
    own = (("LoadBalancerName", lb.name),)
    front = _sum(front_counts(one, minute.counts) for one in fronts)
    zones: dict[str, Counts] = {}
    for pool in pools:
        for zone, counts in zones_of(pool, minute.counts).items():
            zones[zone] = _sum((zones.get(zone, {}), counts))
    whole = _sum(zones.values())
    for dimensions, did in ((own, whole), *(((("AvailabilityZone", zone), *own), did) for zone, did in zones.items() if zone)):
        data.put("RequestCount", "Count", did.get("stot", 0), dimensions)
        data.put("BackendConnectionErrors", "Count", did.get("econ", 0), dimensions)
        for kind in ("2xx", "3xx", "4xx", "5xx"):
            data.put(f"HTTPCode_Backend_{kind.upper()}", "Count", did.get(f"hrsp_{kind}", 0), dimensions)
    for kind in ("4xx", "5xx"):
        data.put(f"HTTPCode_ELB_{kind.upper()}", "Count", front.get(f"hrsp_{kind}", 0) - whole.get(f"hrsp_{kind}", 0), own)
    queued = sum(_backend(pool, minute.gauges).get("qcur", 0) for pool in pools)
    data.put("SurgeQueueLength", "Count", queued, own)
    # Every instance stands in one group per listener: it is healthy when it is in all of them, since they are checked alike.
    states: dict[str, str] = {}
    zone_by_id: dict[str, str] = {}
    for target in (target for pool in pools for target in pool.targets):
        zone_by_id[target.id] = zone_of(target)
        states[target.id] = target.health.state if states.get(target.id, "healthy") == "healthy" else states[target.id]
    for wanted, dimensions in (
        ("", own),
        *((zone, (("AvailabilityZone", zone), *own)) for zone in sorted(set(zone_by_id.values())) if zone),
    ):
        here = [state for id, state in states.items() if wanted in ("", zone_by_id[id])]
        data.put("HealthyHostCount", "Count", here.count("healthy"), dimensions, is_always=True)
        data.put("UnHealthyHostCount", "Count", here.count("unhealthy"), dimensions, is_always=True)


def _backend(pool: Pool, gauges: Mapping[Place, Counts]) -> Counts:
    name = backend_name(pool.group.arn)
    return _sum(gauges.get(Place(one, "BACKEND"), {}) for one in (name, name + OPEN))


def _told(told: Told, snapshot: Snapshot) -> list[Datum]:
    """What lines say. Zones are those of the targets that are still there."""
    data = _Data(told.minute, told.scope, NAMESPACES.get(told.type, ""))
    is_classic = told.type == "classic"
    own = (("LoadBalancerName" if is_classic else "LoadBalancer", told.load_balancer),)
    if not is_classic:
        for metric, count in told.counts.items():
            if metric[:1].isupper():
                data.put(metric, "Count", count, own)
    zones = {
        (target.target_group_arn, f"{target.address}:{target.port}"): zone_of(target) for pool in snapshot.pools for target in pool.targets
    }
    sets: dict[Dimensions, list[Statistics]] = {}
    for place, times in told.times.items():
        arn, _, address = place.partition("|")
        zone = zones.get((arn, address), "")
        group = (("TargetGroup", arn.rpartition(":")[2]), *own) if arn and not is_classic else own
        for dimensions in {own, group, *([(("AvailabilityZone", zone), *own), (("AvailabilityZone", zone), *group)] if zone else [])}:
            sets.setdefault(dimensions, []).append(times.statistics())
    for dimensions, many in sets.items():
        whole = merged(many)
        if whole is not None:
            data.sets("Latency" if is_classic else "TargetResponseTime", "Seconds", whole, dimensions)
    return data.found
