"""From RegisterTargets to the first request that the target answers, with 10 targets and with 5,000; and what else changes at run time.

Everything is the product's own: a server with a durable store, its API over HTTP, its HAProxy. Targets are addresses of one
HAProxy more, which answers everything by itself and says at which address it was asked. A new target goes into a group that
has another one, healthy: it is asked nothing before it has passed its check. CPU is the worker's, less what it takes while
nothing changes.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.installation import Client, Running, free_port, server_alone, wait_until
from bench.report import Figure, Target, p50

_PER_GROUP = 100
_RULES = 100
_KILLS = 5
_UPSTREAM = """
global
  fd-hard-limit 20000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend targets
  bind 0.0.0.0:{port}
  http-request return status 200 content-type text/plain lf-string "%[dst]"
"""


def measure(rounds: int) -> Iterator[Figure]:
    rounds = max(rounds, 5) * 8
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name, _upstream(Path(name)) as port:
        for count, most_ms in ((10, 20.0), (5000, 60.0)):
            with server_alone(Path(name, str(count))) as (platform, _):
                bench = _Bench(platform, port)
                bench.fill(count)
                times = sorted(bench.first_answer_s(number) for number in range(rounds))
                yield Figure(f"register target -> served, {count} targets, p50", "ms", 1000 * p50(times))
                yield Figure(
                    f"register target -> served, {count} targets, p95", "ms", 1000 * times[rounds * 95 // 100], target=Target("<=", most_ms)
                )
                yield Figure(f"CPU of HAProxy per change, {count} targets", "ms", 1000 * bench.change_cpu_s(rounds), target=Target("<=", 5))
                if count == 10:
                    bench.add_rules(_RULES)
                    changes = sorted(bench.rule_change_s(number) for number in range(rounds // 2))
                    yield Figure(f"rule change applied, {_RULES} rules, p95", "ms", 1000 * changes[-1], target=Target("<=", 250))
                kills = [bench.killed_s() for _ in range(_KILLS)]
                yield Figure(f"HAProxy killed -> serving, {count} targets, most", "ms", 1000 * max(kills), target=Target("<=", 1000))


class _Bench:
    """One load balancer in front of everything; `/fresh` leads to the group that has one target between two rounds."""

    def __init__(self, platform: Running, port: int) -> None:
        self._platform = platform
        self._client: Client = platform.client()
        self._port = port
        lb = self._ask("CreateLoadBalancer", **{"Name": "bench", "Subnets.member.1": self._subnet(0), "Subnets.member.2": self._subnet(1)})
        self._arn = _text(lb, "LoadBalancerArn")
        self._listen = free_port()
        made = self._ask(
            "CreateListener",
            LoadBalancerArn=self._arn,
            Protocol="HTTP",
            Port=str(self._listen),
            **{"DefaultActions.member.1.Type": "fixed-response", "DefaultActions.member.1.FixedResponseConfig.StatusCode": "404"},
        )
        self._listener = _text(made, "ListenerArn")
        self._fresh = self._group("fresh")
        self._rule(1, "/fresh", self._fresh)
        self._ask("RegisterTargets", TargetGroupArn=self._fresh, **{"Targets.member.1.Id": _address(0)})
        self._rules: list[str] = []
        self._http = http.client.HTTPConnection("127.0.0.1", self._listen)

    def _ask(self, operation: str, **fields: str) -> ElementTree.Element:
        return self._client.query("elasticloadbalancing", "2015-12-01", operation, fields)

    def _subnet(self, number: int) -> str:
        found = self._client.query("ec2", "2016-11-15", "DescribeSubnets", {})
        return [one.text or "" for one in found.iter() if one.tag.endswith("subnetId")][number]

    def _group(self, name: str) -> str:
        vpc = self._client.query("ec2", "2016-11-15", "DescribeVpcs", {})
        made = self._ask(
            "CreateTargetGroup", Name=name, Protocol="HTTP", Port=str(self._port), VpcId=_text(vpc, "vpcId"), TargetType="ip",
            HealthCheckIntervalSeconds="30",
        )  # fmt: skip
        arn = _text(made, "TargetGroupArn")
        fields = {"Attributes.member.1.Key": "deregistration_delay.timeout_seconds", "Attributes.member.1.Value": "5"}
        self._ask("ModifyTargetGroupAttributes", TargetGroupArn=arn, **fields)
        return arn

    def _rule(self, priority: int, path: str, group: str) -> str:
        made = self._ask(
            "CreateRule",
            ListenerArn=self._listener,
            Priority=str(priority),
            **{
                "Conditions.member.1.Field": "path-pattern",
                "Conditions.member.1.Values.member.1": path,
                "Actions.member.1.Type": "forward",
                "Actions.member.1.TargetGroupArn": group,
            },
        )
        return _text(made, "RuleArn")

    def fill(self, count: int) -> None:
        """`count` healthy targets, at most a hundred in a group."""
        for first in range(0, count, _PER_GROUP):
            number = first // _PER_GROUP
            group = self._group(f"group-{number}")
            self._rule(number + 2, f"/g/{number}", group)
            some = range(first, min(first + _PER_GROUP, count))
            fields = {f"Targets.member.{place}.Id": _address(one) for place, one in enumerate(some, 1)}
            self._ask("RegisterTargets", TargetGroupArn=group, **fields)
            wait_until("targets to be healthy", self._are_healthy(group, len(some)), every_s=0.1)

    def _are_healthy(self, group: str, count: int) -> Callable[[], bool]:
        return lambda: self._healthy(group) == count

    def _healthy(self, group: str) -> int:
        found = self._ask("DescribeTargetHealth", TargetGroupArn=group)
        return sum(one.tag.endswith("State") and one.text == "healthy" for one in found.iter())

    def first_answer_s(self, number: int) -> float:
        address = _address(10_000 + number)
        began = time.perf_counter()
        self._ask("RegisterTargets", TargetGroupArn=self._fresh, **{"Targets.member.1.Id": address})
        while self._get("/fresh") != (200, address):
            pass
        took_s = time.perf_counter() - began
        self._ask("DeregisterTargets", TargetGroupArn=self._fresh, **{"Targets.member.1.Id": address})
        wait_until("the target to be gone", self._are_healthy(self._fresh, 1))
        return took_s

    def _get(self, path: str) -> tuple[int, str]:
        try:
            self._http.request("GET", path)
            answer = self._http.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            self._http.close()
            return 0, ""

    def change_cpu_s(self, count: int) -> float:
        """Of one target that comes or goes in a group of a hundred (or all there are)."""
        group = _text(self._ask("DescribeTargetGroups", **{"Names.member.1": "group-0"}), "TargetGroupArn")
        there = self._healthy(group)
        spent_s, began = self._cpu_s(), time.perf_counter()
        for number in range(count):
            target = {"Targets.member.1.Id": _address(20_000 + number)}
            self._ask("RegisterTargets", TargetGroupArn=group, **target)
            wait_until("the target", lambda: self._healthy(group) == there + 1)
            self._ask("DeregisterTargets", TargetGroupArn=group, **target)
            wait_until("the target to leave", lambda: self._healthy(group) == there)
        took_s, spent_s = time.perf_counter() - began, self._cpu_s() - spent_s
        idle_s, began = self._cpu_s(), time.perf_counter()
        time.sleep(took_s)
        idle_s = (self._cpu_s() - idle_s) * took_s / (time.perf_counter() - began)
        return max(0.0, spent_s - idle_s) / (2 * count)

    def _worker(self) -> int:
        master = self._master()
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return int(children[-1])

    def _master(self) -> int:
        return int(next(self._platform.data.root.rglob("haproxy.pid")).read_text() or 0)

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._worker()}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def add_rules(self, count: int) -> None:
        group = _text(self._ask("DescribeTargetGroups", **{"Names.member.1": "group-0"}), "TargetGroupArn")
        self._rules = [self._rule(1000 + number, f"/rule/{number}/*", group) for number in range(count - 2)]

    def rule_change_s(self, number: int) -> float:
        path = f"/changed/{number}"
        began = time.perf_counter()
        self._ask(
            "ModifyRule",
            RuleArn=self._rules[number % len(self._rules)],
            **{"Conditions.member.1.Field": "path-pattern", "Conditions.member.1.Values.member.1": path},
        )
        while self._get(path)[0] != 200:
            self._http.close()  # a new connection goes to the newest worker
        return time.perf_counter() - began

    def killed_s(self) -> float:
        """The worker is killed; until the next answer of a target. One that keeps ending is started more slowly: this one does not."""
        wait_until("it to serve", lambda: self._get("/g/0")[0] == 200)
        time.sleep(2.5)
        victim, master = self._worker(), self._master()
        began = time.perf_counter()
        os.kill(victim, signal.SIGKILL)
        wait_until("another one", lambda: self._master() != master and self._get("/g/0")[0] == 200, every_s=0.002)
        return time.perf_counter() - began


def _address(number: int) -> str:
    return f"127.200.{number // 250}.{number % 250 + 1}"


def _text(answer: ElementTree.Element, tag: str) -> str:
    return next(one.text or "" for one in answer.iter() if one.tag.rpartition("}")[2] == tag)


@contextlib.contextmanager
def _upstream(directory: Path) -> Iterator[int]:
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise RuntimeError("HAProxy is not installed")
    port = free_port()
    config = directory / "targets.cfg"
    config.write_text(_UPSTREAM.format(port=port))
    process = subprocess.Popen([program, "-q", "-db", "-f", config])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)
