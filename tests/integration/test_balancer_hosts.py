"""Two machines that run the load balancers of a third: network namespaces with a platform between them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.installation import BIN, Installation

pytestmark = [
    pytest.mark.engine("haproxy", "ip"),
    pytest.mark.timeout(150),
    pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may make network namespaces"),
]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Machine:
    """A namespace with one way to the platform's machine, and a balancer host in it."""

    def __init__(self, number: int, home: Path, there: Installation) -> None:
        self.name, self.namespace = f"host-{number}", f"lsb{os.getpid()}-{number}"
        self.outer, inner = f"lsb{os.getpid() % 10000}o{number}", f"lsb{os.getpid() % 10000}i{number}"
        #: of a range for documentation and benchmarks
        net = f"198.18.{os.getpid() % 250}.{number * 4}"
        first = net.rpartition(".")[0]
        self.platform, self.address = f"{first}.{number * 4 + 1}", f"{first}.{number * 4 + 2}"
        self.home, self.there = home / self.name, there
        self.process: subprocess.Popen[bytes] | None = None
        ip("netns", "add", self.namespace)
        ip("link", "add", self.outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", inner, "netns", self.namespace)
        ip("addr", "add", f"{self.platform}/30", "dev", self.outer)
        ip("link", "set", self.outer, "up")
        for command in (f"addr add {self.address}/30 dev {inner}", f"link set {inner} up", "link set lo up"):
            ip("-n", self.namespace, *command.split())
        ip("-n", self.namespace, "route", "add", "default", "via", self.platform)

    def start(self) -> None:
        told = self.there.variables()
        keys = {name: told[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}
        command = [
            *("ip", "netns", "exec", self.namespace, str(BIN / "longshore"), "balancer", "--name", self.name),
            *("--server", f"http://{self.platform}:{self.there.port}", "--address", self.address, "--data-dir", str(self.home)),
            "--insecure",
        ]
        with (self.home.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.there.environment | keys, stdout=log, stderr=log, start_new_session=True, cwd=self.home.parent
            )

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(15)

    def cut(self, *, off: bool) -> None:
        ip("link", "set", self.outer, "down" if off else "up")

    def haproxy(self) -> int:
        return int((self.home / "haproxy" / "haproxy.pid").read_text())

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGINT)
        found = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False).stdout
        for pid in found.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "link", "del", self.outer], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("hosts"), free_port())
    made.longshore("up", "--detach", "--instances", "0", "--host", "0.0.0.0", "--port", str(made.port), "--no-tls", "--insecure")
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def machines(there: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Machine]]:
    made: list[Machine] = []
    try:
        for number in (1, 2):
            made.append(Machine(number, tmp_path_factory.getbasetemp(), there))
            made[-1].start()
        yield made
    finally:
        for machine in made:
            machine.remove()


@pytest.fixture(scope="module")
def target() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("0.0.0.0", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def says(address: str, port: int, name: str) -> str:
    request = urllib.request.Request(f"http://{address}:{port}/", headers={"Host": name})
    try:
        return urllib.request.urlopen(request, timeout=3).read().decode()
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return ""


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def hosts_connected(there: Installation) -> int:
    """0 while the server starts."""
    command = [str(BIN / "longshore"), "status", "-o", "json"]
    done = subprocess.run(command, env=there.environment, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.count('"connected"')


def test_hosts_serve_what_the_platform_says_and_one_that_goes_disturbs_nobody(
    there: Installation, machines: list[Machine], target: ThreadingHTTPServer, free_port: Callable[..., int]
) -> None:
    ec2, elb = there.client("ec2"), there.client("elbv2")
    found = ec2.describe_subnets()["Subnets"]
    ip("addr", "add", "10.255.77.1/32", "dev", "lo")
    try:
        check = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2}
        group = elb.create_target_group(Name="g", Protocol="HTTP", Port=80, VpcId=found[0]["VpcId"], TargetType="ip", **check)
        arn = group["TargetGroups"][0]["TargetGroupArn"]
        lb = elb.create_load_balancer(Name="both", Subnets=[subnet["SubnetId"] for subnet in found])["LoadBalancers"][0]
        port = free_port()
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        elb.create_listener(LoadBalancerArn=lb["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=forward)
        one = {"Id": "10.255.77.1", "Port": target.server_address[1]}
        elb.register_targets(TargetGroupArn=arn, Targets=[one])
        first, second = machines
        for machine in machines:
            until(lambda machine=machine: says(machine.address, port, lb["DNSName"]) == "hello")

        def health() -> Any:
            return elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]

        until(lambda: health()[0]["TargetHealth"]["State"] == "healthy")

        # a host's control process is killed: HAProxy serves on, and is adopted by the next
        pid = first.haproxy()
        first.end(signal.SIGKILL)
        assert says(first.address, port, lb["DNSName"]) == "hello"
        first.start()
        until(lambda: "runs already" in (first.home.parent / "host-1.log").read_text())
        assert first.haproxy() == pid and says(first.address, port, lb["DNSName"]) == "hello"

        # a host is cut off: it does not hold up the others, nor, once its lease is over, a target that leaves
        second.cut(off=True)
        assert says(first.address, port, lb["DNSName"]) == "hello"
        assert health()[0]["TargetHealth"]["State"] == "healthy"
        elb.deregister_targets(TargetGroupArn=arn, Targets=[one])
        until(lambda: says(first.address, port, lb["DNSName"]) == "503")
        until(lambda: not health(), seconds=60)

        # one that comes back is told everything
        second.cut(off=False)
        until(lambda: says(second.address, port, lb["DNSName"]) == "503")
        elb.register_targets(TargetGroupArn=arn, Targets=[one])
        for machine in machines:
            until(lambda machine=machine: says(machine.address, port, lb["DNSName"]) == "hello")

        # the platform's server is killed: hosts serve on, and are listened to again
        state = json.loads((there.data / "run" / "state.json").read_text())
        os.kill(next(part["pid"] for part in state["parts"] if part["name"] == "server"), signal.SIGKILL)
        assert all(says(machine.address, port, lb["DNSName"]) == "hello" for machine in machines)
        until(lambda: hosts_connected(there) == 2)
        elb.deregister_targets(TargetGroupArn=arn, Targets=[one])
        until(lambda: not health())
    finally:
        ip("addr", "del", "10.255.77.1/32", "dev", "lo")
