"""One limit for all containers of a task: a control group of the machine's, made before its first container.

Docker Engine puts containers below a parent that it is told of, and sets limits for each container alone; the limits of the
parent are written here, as the stock ECS agent writes them: /ecs/<task id>, CPU as a quota of a 100 ms period, memory in bytes.
It works where the engine drives control groups through the file system of this very machine and this process may write there.
"""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger("longshore.runtime")

ROOT = Path("/sys/fs/cgroup")
PARENT = "ecs"
PERIOD_US = 100_000
LEAST_QUOTA_US = 1_000
MIB = 1024 * 1024


class ControlGroups:
    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        #: version 2: one tree for all controllers
        self._unified = (root / "cgroup.controllers").exists()

    def __repr__(self) -> str:
        return f"ControlGroups({self._root}, version {2 if self._unified else 1})"

    def usable(self) -> bool:
        """Whether groups can be made here: tried, not guessed."""
        try:
            for folder in self._folders(()):
                folder.mkdir(exist_ok=True)
            self._count_below()
            if self._unified:
                self._pass_on(self._root)
                self._pass_on(self._root / PARENT)
        except OSError as error:
            log.info("tasks have no control group of their own here: %s", error)
            return False
        return True

    def make(self, name: str, cpus: float, memory_mib: int) -> str:
        """The group's path as Docker Engine is told it; 0 is no limit. Raises OSError. It may be there already."""
        for folder in self._folders((name,)):
            folder.mkdir(exist_ok=True)
        quota = max(round(cpus * PERIOD_US), LEAST_QUOTA_US) if cpus else -1
        if self._unified:
            folder = self._root / PARENT / name
            self._write(folder / "cpu.max", f"{quota if quota > 0 else 'max'} {PERIOD_US}")
            self._write(folder / "memory.max", str(memory_mib * MIB) if memory_mib else "max")
        else:
            self._write(self._root / "cpu" / PARENT / name / "cpu.cfs_period_us", str(PERIOD_US))
            self._write(self._root / "cpu" / PARENT / name / "cpu.cfs_quota_us", str(quota))
            self._write(self._root / "memory" / PARENT / name / "memory.limit_in_bytes", str(memory_mib * MIB if memory_mib else -1))
        return f"/{PARENT}/{name}"

    def remove(self, name: str) -> None:
        """Wherever the engine has made it, too. What is still in use stays; nothing happens when it is gone."""
        found = [self._root / PARENT / name] if self._unified else self._root.glob(f"*/{PARENT}/{name}")
        for folder in found:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.info("control group %s is left behind: %s", folder, error)

    def _folders(self, below: tuple[str, ...]) -> list[Path]:
        if self._unified:
            return [self._root.joinpath(PARENT, *below)]
        return [self._root.joinpath(controller, PARENT, *below) for controller in ("cpu", "memory")]

    def _count_below(self) -> None:
        """Kernels before 5.11 count the memory of what lies below a group only when they are told to, before anything does."""
        switch = self._root / "memory" / PARENT / "memory.use_hierarchy"
        if switch.exists() and switch.read_text().strip() == "0":
            self._write(switch, "1")

    def _pass_on(self, folder: Path) -> None:
        self._write(folder / "cgroup.subtree_control", "+cpu +memory")

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
