"""What an agent says it can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.agent.capabilities import MachineFacts, capabilities, gpus
from longshore.runtime.base import EngineFacts

COM, ECS = "com.amazonaws.ecs.capability", "ecs.capability"


def said(machine: MachineFacts | None = None, **engine: object) -> set[str]:
    return set(capabilities(EngineFacts(**{"api_minor": 41, **engine}), machine or MachineFacts()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "engine", "name"),
    [
        (MachineFacts(), {"log_drivers": frozenset({"splunk"})}, f"{COM}.logging-driver.splunk"),
        (MachineFacts(has_journal=True), {"log_drivers": frozenset({"journald"})}, f"{COM}.logging-driver.journald"),
        (MachineFacts(), {"volume_drivers": frozenset({"rexray/ebs"})}, f"{ECS}.docker-plugin.rexray/ebs"),
        (MachineFacts(), {"security": frozenset({"apparmor"})}, f"{COM}.apparmor"),
        (MachineFacts(), {"security": frozenset({"selinux"})}, f"{COM}.selinux"),
        (MachineFacts(), {"limits_groups": True}, f"{ECS}.task-cpu-mem-limit"),
        (MachineFacts(), {"api_minor": 44}, f"{COM}.docker-remote-api.1.44"),
        (MachineFacts(task_range="10.1.0.0/24"), {}, f"{ECS}.task-eni"),
    ],
)
def test_each_follows_from_what_is_there(machine: MachineFacts, engine: dict[str, object], name: str) -> None:
    assert name in said(machine, **engine) and name not in said()


def test_a_journal_that_does_not_listen_is_not_offered() -> None:
    assert f"{COM}.logging-driver.journald" not in said(log_drivers=frozenset({"journald"}))


def test_nothing_is_shared_where_there_is_no_program_to_hold_it() -> None:
    without = said(MachineFacts(can_share=False, task_range="10.1.0.0/24"))
    assert not without & {f"{ECS}.task-eni", f"{ECS}.pid-ipc-namespace-sharing"}


def test_what_nobody_does_here_is_never_said() -> None:
    everything = said(
        MachineFacts(has_journal=True, task_range="10.1.0.0/24"), limits_groups=True, log_drivers=frozenset({"awslogs", "json-file"})
    )
    absent = ("env-files.s3", "firelens.fluentbit", "efs", "execution-role-awslogs", "aws-appmesh", "storage.ebs-task-volume-attach")
    assert not everything & {f"{ECS}.{name}" for name in absent}
    assert f"{COM}.logging-driver.awsfirelens" not in everything


def test_gpus_are_those_their_driver_names(tmp_path: Path) -> None:
    for slot, identifier in (("0000:01:00.0", "GPU-aaaa"), ("0000:02:00.0", "GPU-????????-????"), ("0000:03:00.0", "GPU-bbbb")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(f"Model: \t\t Big One\nGPU UUID: \t {identifier}\nBus Type: \t PCIe\n")
    assert gpus(tmp_path) == ("GPU-aaaa", "GPU-bbbb")
    assert gpus(tmp_path / "absent") == ()
