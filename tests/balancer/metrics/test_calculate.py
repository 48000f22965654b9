"""Metrics of a minute: CloudWatch's names, dimensions and sums, out of counts and lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.balancer.access_log.tally import Times, Told
from longshore.balancer.metrics import lcu
from longshore.balancer.metrics.calculate import Minute, metrics_of
from longshore.balancer.metrics.collector import Totals
from longshore.balancer.metrics.counters import Counts, Place
from longshore.balancer.metrics.prometheus import Page, load_balancers
from longshore.balancer.snapshot import Pool, Snapshot
from longshore.balancer.words import OPEN
from longshore.store.metrics import Datum
from tests.balancer.cases import BACKEND, front, group, target

LB = front().load_balancer
ID = LB.arn.rpartition(":loadbalancer/")[2]


def snapshot(*zones: str, health: str = "healthy", protocol: str = "HTTP") -> Snapshot:
    one = front(protocol=protocol)
    targets = tuple(replace(target(f"10.0.0.{number}:80", health=health), availability_zone=zone) for number, zone in enumerate(zones, 1))
    pool = Pool(group(protocol="HTTP" if protocol == "HTTP" else "TCP"), one.load_balancer, targets)
    return Snapshot((one.load_balancer,), (one,), (pool,))


def found(
    counts: dict[Place, Counts], gauges: dict[Place, Counts] | None = None, of: Snapshot | None = None, told: tuple[Told, ...] = ()
) -> dict[tuple[str, str], float]:
    """(metric, its dimensions but the load balancer's) -> sum."""
    data = metrics_of(Minute(0, of or snapshot("a", "b"), counts, gauges or {}, told))
    return {(one.series.metric, where(one)): one.statistics.sum for one in data}


def where(datum: Datum) -> str:
    return " ".join(value for name, value in datum.series.dimensions if not name.startswith("LoadBalancer"))


FRONT = Place("127.0.2.1:80_local", "FRONTEND")
TG = "targetgroup/web/0123456789abcdef"


def test_what_targets_did_is_told_by_group_zone_and_load_balancer() -> None:
    told = found(
        {
            FRONT: {"req_tot": 12, "hrsp_2xx": 9, "hrsp_5xx": 3, "conn_tot": 4, "bin": 100, "bout": 200},
            Place(BACKEND, "SERVERS", "a"): {"stot": 6, "hrsp_2xx": 5, "hrsp_5xx": 1, "connect": 2},
            Place(BACKEND + OPEN, "SERVERS", "b"): {"stot": 4, "hrsp_2xx": 4, "econ": 1},
        }
    )
    assert told[("RequestCount", "")] == told[("RequestCount", TG)] == 10
    assert (told[("RequestCount", "a")], told[("RequestCount", f"b {TG}")]) == (6, 4)
    assert told[("HTTPCode_Target_5XX_Count", "")] == 1
    assert told[("HTTPCode_ELB_5XX_Count", "")] == 2
    assert ("HTTPCode_ELB_4XX_Count", "") not in told
    assert told[("NewConnectionCount", "")] == 6
    assert told[("ProcessedBytes", "")] == 300
    assert told[("RequestCountPerTarget", TG)] == 5
    assert told[("UnhealthyRoutingRequestCount", TG)] == 4
    assert told[("TargetConnectionErrorCount", "b")] == 1


def test_hosts_are_told_even_while_nothing_happens_and_counts_are_not() -> None:
    told = found({}, of=snapshot("a", "a", "b"))
    assert told[("HealthyHostCount", TG)] == 3 and told[("HealthyHostCount", f"a {TG}")] == 2
    assert told[("UnHealthyHostCount", f"b {TG}")] == 0
    assert told[("HealthyStateRouting", TG)] == 2
    assert "RequestCount" not in {metric for metric, _ in told}


def test_active_connections_are_those_of_clients_and_of_targets() -> None:
    told = found({}, {FRONT: {"scur": 5}, Place(BACKEND, "SERVERS", "a"): {"used_conn_cur": 2}})
    assert told[("ActiveConnectionCount", "")] == 7


def test_lines_tell_times_and_whose_error_it_was() -> None:
    times = Times()
    for value in (0.1, 0.2, 0.3):
        times.add(value)
    arn = group().arn
    one = Told(
        "us-east-1:000000000000", "application", ID, 60, {f"{arn}|10.0.0.1:80": times}, {"HTTPCode_ELB_502_Count": 2, "client_left": 1}
    )
    told = found({}, told=(one,))
    assert told[("TargetResponseTime", "")] == told[("TargetResponseTime", f"a {TG}")] == 0.1 + 0.2 + 0.3
    assert told[("HTTPCode_ELB_502_Count", "")] == 2
    assert ("client_left", "") not in told


def test_a_network_load_balancer_tells_flows() -> None:
    told = found({FRONT: {"conn_tot": 8, "bin": 1, "bout": 2}}, {FRONT: {"scur": 3}}, snapshot("a", protocol="TCP"))
    assert told[("NewFlowCount", "")] == told[("NewFlowCount_TCP", "")] == 8
    assert (told[("ActiveFlowCount", "")], told[("ProcessedBytes", "")]) == (3, 3)
    assert ("NewFlowCount_TLS", "") not in told


counts = st.fixed_dictionaries({name: st.integers(0, 1000) for name in ("stot", "hrsp_2xx", "hrsp_4xx", "hrsp_5xx", "econ")})


@given(st.dictionaries(st.sampled_from(["", "a", "b", "c"]), counts, max_size=4))
def test_zones_of_a_group_add_up_to_no_more_than_the_load_balancer(zones: dict[str, Counts]) -> None:
    told = found({Place(BACKEND, "SERVERS", zone): counts for zone, counts in zones.items()})
    for metric in ("RequestCount", "HTTPCode_Target_2XX_Count", "TargetConnectionErrorCount"):
        whole = told.get((metric, ""), 0)
        assert whole == told.get((metric, TG), 0)
        assert sum(told.get((metric, zone), 0) for zone in "abc") <= whole
        if "" not in zones:
            assert sum(told.get((metric, zone), 0) for zone in "abc") == whole


def test_capacity_units_are_the_greatest_of_their_parts() -> None:
    # AWS's own example: 1 new connection/s, 180 active, 3.6 GB/h (of which ours is counted per minute), 1,000 rules/s beyond free ones
    units = lcu.application(lcu.Use(1500, 3000, 500_000_000, 60_000 + 600_000, 60_000))
    assert (units.new_connections, units.active_connections, units.bytes, units.rule_evaluations) == (1.0, 1.0, 30.0, 1.0)
    assert units.consumed == 30.0
    assert lcu.network(lcu.Use(48_000, 100_000), is_tls=False).consumed == 1.0
    assert lcu.network(lcu.Use(3000, 3000), is_tls=True).consumed == 1.0


def test_prometheus_gets_every_sample_under_its_explanation() -> None:
    page = Page()
    totals = Totals({FRONT: {"conn_tot": 3, "hrsp_2xx": 2}, Place(BACKEND, "SERVERS", "a"): {"stot": 2}})
    load_balancers(page, snapshot("a"), totals)
    text = page.text().decode()
    assert f'longshore_lb_connections_total{{load_balancer="{ID}",listener="HTTP:80"}} 3\n' in text
    assert f'longshore_lb_target_requests_total{{load_balancer="{ID}",target_group="web",zone="a"}} 2\n' in text
    assert f'longshore_lb_targets{{load_balancer="{ID}",target_group="web",zone="a",state="healthy"}} 1\n' in text
    assert text.count("# TYPE longshore_lb_responses_total counter") == 1
    page.put("x", "gauge", "X.", 1.5, {"a": 'q"\\\n'})
    assert page.text().decode().endswith('x{a="q\\"\\\\\\n"} 1.5\n')
