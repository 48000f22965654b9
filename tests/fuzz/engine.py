"""Runs a target over many inputs and watches it: what it raises, how long one input takes, how much memory all of them leave behind.

A target raises nothing but what its language has for bad input; it takes that care itself. An input that it fails on is kept in
`tests/fuzz/found/TARGET/`, from where the short run of the tests reads it ever after.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.fuzz.mutation import Mutator

FOUND = Path(__file__).parent / "found"
#: seconds that one input may take
LONGEST_S = 1.0
#: bytes by which the process may have grown when all is done, measured from when it had warmed up
MOST_GROWTH = 48 << 20
#: of the inputs, how many are spent on warming up: caches are bounded, and full then
_WARM_UP = 0.4
_PAGE = 4096


@dataclass(frozen=True)
class Target:
    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    #: how many inputs stand for one where a number is asked for: what costs more is tried less often
    share: float = 1.0
    #: called now and then, between inputs: for what a target must begin anew
    renew: Callable[[], None] = field(default=lambda: None)
    renew_every: int = 1000


@dataclass(frozen=True)
class Outcome:
    target: str
    inputs: int
    seconds: float
    slowest_s: float
    growth: int


class TooSlow(BaseException):
    """Of no kind that a target might catch."""


class Failed(AssertionError):
    def __init__(self, target: str, data: bytes, cause: BaseException) -> None:
        self.data = data
        super().__init__(f"{target} failed with {type(cause).__name__}: {cause} on {data[:200]!r} ({len(data)} bytes)")


def attempt(target: Target, data: bytes) -> None:
    """Raises Failed."""
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        target.run(data)
    except (TooSlow, Exception) as problem:
        raise Failed(target.name, data, problem) from problem
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def keep(target: Target, data: bytes) -> Path:
    directory = FOUND / target.name
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def kept(target: Target) -> list[bytes]:
    return [path.read_bytes() for path in sorted((FOUND / target.name).glob("*"))]


def fuzz(target: Target, inputs: int, seed: int) -> Outcome:
    """Raises Failed for the first input that the target fails on, or where memory grows."""
    before = signal.signal(signal.SIGALRM, _too_slow)
    log = logging.getLogger("longshore")
    level = log.level
    log.setLevel(logging.CRITICAL)  # every refusal of a broken request would have its line
    try:
        return _fuzz(target, max(1, int(inputs * target.share)), seed)
    finally:
        log.setLevel(level)
        signal.signal(signal.SIGALRM, before)


def _fuzz(target: Target, inputs: int, seed: int) -> Outcome:
    mutator, slowest, warm = Mutator(target.seeds, target.words, seed), 0.0, 0
    began = time.perf_counter()
    for number in range(inputs):
        if number % target.renew_every == 0:
            target.renew()
        if number == int(inputs * _WARM_UP):
            warm = _resident()
        data = mutator.next()
        start = time.perf_counter()
        attempt(target, data)
        slowest = max(slowest, time.perf_counter() - start)
    target.renew()
    growth = _resident() - warm
    if growth > MOST_GROWTH:
        raise Failed(target.name, b"", MemoryError(f"{growth >> 20} MiB more after {inputs} inputs"))
    return Outcome(target.name, inputs, time.perf_counter() - began, slowest, growth)


def _too_slow(signum: int, frame: FrameType | None) -> None:
    raise TooSlow(f"one input took more than {LONGEST_S} s")


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
