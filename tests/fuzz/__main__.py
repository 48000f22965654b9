"""`make fuzz`: every target over many inputs; exits 1, and says how to see it again, when one of them fails.

python -m tests.fuzz [--inputs 1000000] [--seed N] [--target NAME …]
python -m tests.fuzz --replay tests/fuzz/found/policy/0123456789abcdef
python -m tests.fuzz --engine atheris --target policy     until it is stopped, led by coverage (needs `pip install atheris`)
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.engine import Failed, Outcome, Target, attempt, fuzz, keep


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of each target that is quick; slower ones get their share")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--target", action="append")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--replay", type=Path)
    asked = parser.parse_args()
    if asked.engine == "atheris":
        if len(asked.target or ()) != 1:
            parser.error("--engine atheris takes one --target")
        return _atheris(asked.target[0], asked.inputs)
    from tests.fuzz.targets import TARGETS, made

    names = asked.target or sorted(TARGETS)
    if unknown := sorted(set(names) - TARGETS):
        parser.error(f"there is no target {unknown[0]}: choose from {', '.join(sorted(TARGETS))}")
    if asked.replay is not None:
        return _replay(made(asked.replay.parent.name), asked.replay)
    print(f"seed {asked.seed}")
    print(f"{'target':<14}{'inputs':>10}{'per s':>10}{'slowest':>11}{'growth':>10}")
    outcomes = []
    for name in names:
        try:
            outcomes.append(fuzz(made(name), asked.inputs, asked.seed))
        except Failed as failed:
            path = keep(made(name), failed.data)
            print(f"{failed}\nagain: python -m tests.fuzz --replay {path}", file=sys.stderr)
            return 1
        _tell(outcomes[-1])
    print(f"{sum(outcome.inputs for outcome in outcomes)} inputs: nothing failed, hung or grew")
    return 0


def _tell(outcome: Outcome) -> None:
    rate = outcome.inputs / outcome.seconds
    print(
        f"{outcome.target:<14}{outcome.inputs:>10}{rate:>10.0f}{outcome.slowest_s * 1000:>8.0f} ms{outcome.growth / 2**20:>6.1f} MiB",
        flush=True,
    )


def _replay(target: Target, path: Path) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    target.renew()
    attempt(target, path.read_bytes())
    print("it no longer fails")
    return 0


def _atheris(name: str, inputs: int) -> int:
    import atheris  # type: ignore[import-not-found]  # nothing here needs it: whoever wants it installs it

    with atheris.instrument_imports(include=["longshore"]):
        from tests.fuzz.targets import made
    target = made(name)
    target.renew()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], f"-atheris_runs={inputs}", "-timeout=1", corpus], target.run)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
