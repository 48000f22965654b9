"""Which images go, and which never do."""

from __future__ import annotations

from pathlib import Path

from longshore.agent.api import TaskChange
from longshore.agent.cleanup import Cleanup, Keeping, removable
from longshore.agent.engine import Engine
from longshore.agent.images import Images
from longshore.agent.journal import Journal, PulledImage
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.runtime.fake import FakeRuntime

KEEPING = Keeping(unused_images_s=100.0, images_at_once=2)
NOW = 1000.0


def image(name: str, used_at: float) -> PulledImage:
    return PulledImage(f"sha256:{name}", name, used_at)


def test_the_longest_unused_go_first_and_few_at_a_time() -> None:
    images = [image("new", 990.0), image("old", 100.0), image("older", 50.0), image("oldest", 10.0)]
    assert [one.reference for one in removable(images, set(), NOW, KEEPING)] == ["oldest", "older"]


def test_what_a_task_names_stays_however_old() -> None:
    assert removable([image("used", 0.0)], {"used"}, NOW, KEEPING) == []


class Nobody:
    async def submit_task_state_change(self, change: TaskChange) -> None: ...


async def test_only_pulled_images_are_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    clock, ids, runtime = SteppedClock(NOW), SeededIds(), FakeRuntime()
    journal = Journal.open(tmp_path / "journal")
    for name in ("mine:1", "running:1", "others:1"):
        await runtime.pull(name, None)
    for name in ("mine:1", "running:1"):
        found = await runtime.image(name)
        assert found is not None
        journal.keep_image(PulledImage(found.id, name, 0.0))
    await runtime.create("somebody", {"Image": "running:1"})
    images = Images(runtime, None, journal, clock, ids)  # type: ignore[arg-type]
    engine = Engine("i-1", runtime, images, journal, Nobody(), clock, ids)
    await Cleanup(engine, runtime, journal, clock, KEEPING).remove_images()
    assert await runtime.image("mine:1") is None
    assert await runtime.image("running:1") is not None and await runtime.image("others:1") is not None
    assert [one.reference for one in journal.images.values()] == ["running:1"]
    journal.close()
