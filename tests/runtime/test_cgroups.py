"""Control groups of tasks, in a folder that looks like the kernel's."""

from __future__ import annotations

from pathlib import Path

from longshore.runtime.cgroups import ControlGroups


def test_version_one_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    groups = ControlGroups(tmp_path)
    assert groups.usable()
    assert groups.make("t1", 0.25, 64) == "/ecs/t1"
    assert (tmp_path / "cpu/ecs/t1/cpu.cfs_quota_us").read_text() == "25000"
    assert (tmp_path / "cpu/ecs/t1/cpu.cfs_period_us").read_text() == "100000"
    assert (tmp_path / "memory/ecs/t1/memory.limit_in_bytes").read_text() == str(64 * 1024 * 1024)
    assert groups.make("t2", 0, 0) == "/ecs/t2"
    assert (tmp_path / "cpu/ecs/t2/cpu.cfs_quota_us").read_text() == "-1"
    assert (tmp_path / "memory/ecs/t2/memory.limit_in_bytes").read_text() == "-1"


def test_an_old_kernel_is_told_to_count_what_lies_below(tmp_path: Path) -> None:
    for controller in ("cpu", "memory"):
        (tmp_path / controller / "ecs").mkdir(parents=True)
    switch = tmp_path / "memory/ecs/memory.use_hierarchy"
    switch.write_text("0\n")
    assert ControlGroups(tmp_path).usable() and switch.read_text() == "1"


def test_version_two_has_one_tree_and_passes_its_controllers_on(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    groups = ControlGroups(tmp_path)
    assert groups.usable()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory" == (tmp_path / "ecs/cgroup.subtree_control").read_text()
    assert groups.make("t1", 2, 128) == "/ecs/t1"
    assert (tmp_path / "ecs/t1/cpu.max").read_text() == "200000 100000"
    assert (tmp_path / "ecs/t1/memory.max").read_text() == str(128 * 1024 * 1024)
    groups.make("t2", 0, 0)
    assert (tmp_path / "ecs/t2/cpu.max").read_text() == "max 100000" and (tmp_path / "ecs/t2/memory.max").read_text() == "max"


def test_a_group_goes_wherever_the_engine_has_made_it(tmp_path: Path) -> None:
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller / "ecs" / "t1").mkdir(parents=True)
    groups = ControlGroups(tmp_path)
    groups.remove("t1")
    groups.remove("t1")
    assert not list(tmp_path.glob("*/ecs/*"))


def test_where_nothing_can_be_written_there_are_none(tmp_path: Path) -> None:
    assert not ControlGroups(tmp_path / "absent" / "deeper").usable()
