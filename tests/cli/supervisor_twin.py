"""Stands in for the supervisor: the same words on stdout, the same state file, and a gateway that knows three answers.

Started as the CLI starts the real one: `supervisor_twin.py [--fail | --die | --hang] --config FILE`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from longshore.config import DataDirectory, InstanceState, PartState, PlatformConfig, State, read_platform

CLUSTER = {
    "clusterName": "default",
    "registeredContainerInstancesCount": 2,
    "activeServicesCount": 1,
    "runningTasksCount": 3,
    "pendingTasksCount": 0,
}
ANSWERS = {
    "ListClusters": {"clusterArns": ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]},
    "DescribeClusters": {"clusters": [CLUSTER]},
}
resets: list[str] = []


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/_longshore/accounts":
            self._answer(200, {"accounts": [{"accountId": "000000000000", "rootKeys": 1}, {"accountId": "222222222222", "rootKeys": 2}]})
        else:
            self._answer(200, {"resets": len(resets)})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=AKIA"):
            self._answer(403, {"__type": "InvalidSignatureException", "message": "unsigned"})
        elif self.path == "/_longshore/reset":
            resets.append(self.path)
            self._answer(200, {})
        elif self.path == "/_longshore/accounts?id=222222222222":
            self._answer(200, {"accountId": "222222222222", "accessKeyId": "AKIATWO", "secretAccessKey": "a/b+c d"})
        elif self.path.startswith("/_longshore/accounts"):
            self._answer(400, {"error": "ValidationException", "message": "that is no account id: it has 12 digits."})
        else:
            self._answer(200, ANSWERS[self.headers["X-Amz-Target"].split(".")[1]])

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        print("gateway:", format % arguments, flush=True)


def say(**event: str) -> None:
    print(json.dumps(event), flush=True)


def main(mode: str, platform: PlatformConfig) -> None:
    server = platform.server
    assert server is not None
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    print("an ordinary log line", flush=True)
    say(event="starting", part="server")
    if mode == "--fail":
        say(event="failed", part="server", cause="the disk is full", fix="free some space")
        sys.exit(1)
    if mode == "--die":
        print("Traceback: something unforeseen", flush=True)
        sys.exit(7)
    if mode == "--hang":
        stopping.wait()
        sys.exit(0)
    gateway = ThreadingHTTPServer((server.host, server.port), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    say(event="ready", part="server")
    instances = tuple(InstanceState(name=a.name, instance_id=a.instance_id, address=a.address, zone=a.zone) for a in platform.agents)
    data = DataDirectory(server.data_dir)
    state = State(
        pid=os.getpid(),
        started_at=time.time(),
        endpoint=server.endpoint,
        registry=server.registry,
        load_balancers="127.0.2.N",
        account_id=server.account_id,
        region=server.region,
        zones=server.zones,
        dev=server.dev,
        parts=(PartState(name="server", pid=os.getpid()),),
        instances=instances,
    )
    data.write_state(state)
    data.log_file("server").write_text("".join(f"line {number}\n" for number in range(1, 6)))
    say(event="ready", part="platform", endpoint=server.endpoint, registry=server.registry, load_balancers="127.0.2.N")
    stopping.wait()
    data.forget_state()


if __name__ == "__main__":
    *modes, _, file = sys.argv[1:]
    main(modes[0] if modes else "", read_platform(Path(file)))
