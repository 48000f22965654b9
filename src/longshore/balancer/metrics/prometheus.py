"""Totals since this process began, and what is so at present, as Prometheus reads them (text format 0.0.4). Pure.

Counters are of HAProxy's, over all of its workers and however often it was reloaded. Names carry their units; labels are the names that
people gave: `load_balancer` is app/NAME/ID, `target_group` its name, `zone` where the targets are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from longshore.balancer.metrics.calculate import front_counts, id_of, zones_of
from longshore.balancer.metrics.collector import Totals
from longshore.balancer.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Page:
    """Families of samples, each with its explanation above it."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}

    def put(self, name: str, kind: str, explanation: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        lines = self._families.setdefault(name, [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"])
        told = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in (labels or {}).items())
        lines.append(f"{name}{{{told}}} {_number(value)}" if told else f"{name} {_number(value)}")

    def text(self) -> bytes:
        return "".join(f"{line}\n" for lines in self._families.values() for line in lines).encode()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def load_balancers(page: Page, snapshot: Snapshot, totals: Totals) -> None:
    for front in snapshot.fronts:
        labels = {"load_balancer": id_of(front.load_balancer), "listener": f"{front.listener.protocol}:{front.listener.port}"}
        counts, gauges = front_counts(front, totals.counts), front_counts(front, totals.gauges)
        page.put("longshore_lb_connections_total", "counter", "Connections of clients.", counts.get("conn_tot", 0), labels)
        page.put("longshore_lb_active_connections", "gauge", "Connections of clients at present.", gauges.get("scur", 0), labels)
        page.put("longshore_lb_client_requests_total", "counter", "Requests of clients.", counts.get("req_tot", 0), labels)
        page.put("longshore_lb_received_bytes_total", "counter", "Bytes from clients.", counts.get("bin", 0), labels)
        page.put("longshore_lb_sent_bytes_total", "counter", "Bytes to clients.", counts.get("bout", 0), labels)
        refused = counts.get("dcon", 0) + counts.get("dses", 0)
        page.put("longshore_lb_rejected_connections_total", "counter", "Connections that were refused.", refused, labels)
        failed = counts.get("ssl_failed_handshake", 0)
        page.put("longshore_lb_tls_errors_total", "counter", "TLS handshakes with clients that failed.", failed, labels)
        for kind in _CLASSES if front.is_http else ():
            explanation = "Responses to clients, the load balancer's own among them, by the first digit of their status."
            page.put("longshore_lb_responses_total", "counter", explanation, counts.get(f"hrsp_{kind}", 0), {**labels, "class": kind})
    _targets(page, snapshot, totals)
    page.put("longshore_lb_lost_log_lines_total", "counter", "Lines of access logs that never came.", totals.lost_lines)
    page.put("longshore_lb_malformed_log_lines_total", "counter", "Lines of access logs that were not whole.", totals.malformed_lines)


def _targets(page: Page, snapshot: Snapshot, totals: Totals) -> None:
    for pool in snapshot.pools:
        group = {"load_balancer": id_of(pool.load_balancer), "target_group": pool.group.name}
        for zone, counts in sorted(zones_of(pool, totals.counts).items()):
            labels = {**group, "zone": zone}
            given = counts.get("stot", 0)
            page.put("longshore_lb_target_requests_total", "counter", "Requests or connections given to targets.", given, labels)
            page.put("longshore_lb_target_connections_total", "counter", "Connections made to targets.", counts.get("connect", 0), labels)
            explanation = "Connections to targets that failed."
            page.put("longshore_lb_target_connection_errors_total", "counter", explanation, counts.get("econ", 0), labels)
            for kind in _CLASSES if pool.group.protocol in ("HTTP", "HTTPS") else ():
                explanation = "Responses of targets, by the first digit of their status."
                of_kind = counts.get(f"hrsp_{kind}", 0)
                page.put("longshore_lb_target_responses_total", "counter", explanation, of_kind, {**labels, "class": kind})
        states: dict[tuple[str, str], int] = {}
        for target in pool.targets:
            key = (target.availability_zone, target.health.state)
            states[key] = states.get(key, 0) + 1
        for (zone, state), count in sorted(states.items()):
            page.put("longshore_lb_targets", "gauge", "Targets by state of health.", count, {**group, "zone": zone, "state": state})


def counted(page: Page, name: str, explanation: str, label: str, values: Iterable[str]) -> None:
    """How many there are of each value."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    for value, count in sorted(counts.items()):
        page.put(name, "gauge", explanation, count, {label: value})
