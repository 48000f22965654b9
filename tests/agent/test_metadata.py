"""The shapes of what containers are shown, beside recordings of the stock agent's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longshore.agent import messages
from longshore.agent.metadata.protection import change_protection, show_protection
from longshore.agent.metadata.views import Look, Where, task_view, with_rates
from longshore.runtime.base import Anatomy, Attached, ContainerState, Mount, PublishedPort

CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "agent-captures" / "task-metadata"
ARN = "arn:aws:ecs:us-test-1:123456789012:task/demo/22222222222222222222222222222222"


class Seen:
    def __init__(self, phase: str, exit_code: int | None, health: str = "") -> None:
        self.phase = type("Phase", (), {"name": phase})()
        self.exit_code, self.health, self.restart_count = exit_code, health, 0


class Record:
    pull_started_at = pull_stopped_at = stopped_at = None


class Job:
    """As much of a task's job as views look at: the one that was recorded."""

    is_wanted = True
    arn = ARN
    status = type("Status", (), {"name": "RUNNING"})()
    record = Record()
    health_since = {"web": 1795372772.656742}
    seen = {"web": Seen("RUNNING", None, "healthy"), "init": Seen("STOPPED", 0)}
    task = messages.Task(
        arn=ARN,
        desired_status="RUNNING",
        family="fam",
        version="3",
        cpu=0.25,
        memory=64,
        launch_type="EXTERNAL",
        containers=(
            messages.Container(name="web", image="bb:1", cpu=10, memory=32, health_check_type="docker", container_arn="arn:web"),
            messages.Container(name="init", image="bb:1", cpu=10, memory=32, container_arn="arn:init"),
        ),
    )

    def container_id(self, name: str) -> str:
        return f"id-{name}"


def state(name: str, **more: Any) -> ContainerState:
    return ContainerState(
        id=f"id-{name}", name=f"ecs-fam-3-{name}-x", image="bb:1", image_id="sha256:e", labels={"my": "label"}, created_at=1.0, **more
    )


LOOKS = {
    "web": Look(
        state(
            "web",
            status="running",
            started_at=2.0,
            health="healthy",
            ports=(PublishedPort(container_port=80, host_port=32769, protocol="tcp", host_ip="0.0.0.0"),),
        ),
        Anatomy(
            network_mode="bridge",
            networks=(Attached(network="bridge", address="172.17.0.2"),),
            mounts=(Mount(name="v", source="/s", destination="/v"),),
            log_driver="json-file",
        ),
    ),
    "init": Look(
        state("init", status="exited", started_at=2.0, finished_at=3.0, exit_code=0),
        # the stock agent knows of no log driver that the payload did not name
        Anatomy(network_mode="bridge", networks=(Attached(network="bridge"),)),
    ),
}


def recorded(name: str) -> Any:
    file = CAPTURES / name
    if not file.exists():
        pytest.skip("the recordings of the stock agent are not here")
    return json.loads(file.read_text().partition("\n\n")[2])


def form(value: Any) -> Any:
    """Names and kinds, without what is in them."""
    if isinstance(value, dict):
        return {name: form(inner) if name != "Labels" else dict for name, inner in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


@pytest.mark.parametrize(("version", "name"), [(3, "v3_task.txt"), (4, "v4_task.txt")])
def test_a_task_has_the_members_that_the_stock_agent_shows(version: int, name: str) -> None:
    expected = recorded(name)
    shown = task_view(Job(), Where("demo", "us-test-1a"), LOOKS, version=version)  # type: ignore[arg-type]
    by_name = {container["Name"]: container for container in expected.pop("Containers")}
    ours = {container["Name"]: container for container in shown.pop("Containers")}
    assert form(shown) == form(expected) and list(shown) == [member for member in expected if member != "Containers"]
    for container in ("web", "init"):
        assert form(ours[container]) == form(by_name[container])
        assert list(ours[container]) == list(by_name[container]), "the order is the stock agent's, too"
    assert ours["init"]["KnownStatus"] == "STOPPED" and ours["web"]["Health"]["status"] == "HEALTHY"


def test_rates_are_what_went_over_the_network_between_two_samples() -> None:
    def sample(second: int, received: int) -> dict[str, Any]:
        networks = {"eth0": {"rx_bytes": received, "tx_bytes": 0}}
        return {"read": f"2026-11-22T18:39:{second:02d}.5Z", "cpu_stats": {"n": second}, "networks": networks}

    first, second = sample(10, 1000), sample(12, 5000)
    assert with_rates(first, None) == first
    shown = with_rates(second, first)
    assert shown["network_rate_stats"] == {"rx_bytes_per_sec": 2000.0, "tx_bytes_per_sec": 0.0}
    assert (shown["preread"], shown["precpu_stats"]) == (first["read"], {"n": 10})


async def test_task_protection_needs_a_role_and_a_request_that_makes_sense() -> None:
    assert (await show_protection(None, "demo", ARN))[1]["error"]["Code"] == "AccessDeniedException"
    for body, word in ((b"", "decode"), (b"[]", "decode"), (b"{}", "ProtectionEnabled"), (b'{"ExpiresInMinutes": 5}', "ProtectionEnabled")):
        status, answer = await change_protection(None, "demo", ARN, body)
        assert status == 400 and word in answer["error"]["Message"]
