"""Cuts off what changes files at its n-th rename or removal, as a lost process would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Cut(Exception):
    """Here it ended."""


@contextmanager
def cut_after(steps: int) -> Iterator[None]:
    """Of names that begin with a dot, which are written beside their place and tidied up, only the renames count."""
    replace, unlink, left = Path.replace, Path.unlink, steps

    def spend() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut

    def replacing(path: Path, target: Path) -> Path:
        spend()
        return replace(path, target)

    def unlinking(path: Path, missing_ok: bool = False) -> None:
        if not path.name.startswith("."):
            spend()
        unlink(path, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replacing)
        patch.setattr(Path, "unlink", unlinking)
        yield


def cut_everywhere(change: Callable[[], object], check: Callable[[], object], begin: Callable[[], object]) -> int:
    """Begins anew for each step that `change` takes, cuts it off there, and checks; how many steps it takes."""
    steps = 0
    while True:
        begin()
        try:
            with cut_after(steps):
                change()
        except Cut:
            check()
            steps += 1
        else:
            check()
            return steps
