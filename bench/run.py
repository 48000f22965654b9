"""Runs benchmarks, each beside its peer in the same run, and prints medians, ratios and targets.

    python bench/run.py [api] [startup] [run_task] [replace] [store] [placement] [registry] [lifecycle] [swarm] [fleet] [describe_tasks]
                        [targets] [load_balancer] [rolling] [iam]
                        [--rounds N] [--json FILE]

All of them unless named. `make bench` installs what the peers need. Docker Engine must answer for startup, run_task, replace,
rolling and registry; wrk must be installed for api, and wrk, docker-registry and a C compiler for registry.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# As a script, what stands beside this file would be found first, and `bench` itself not at all.
sys.path[0] = str(ROOT)

NAMES = (
    *("startup", "api", "run_task", "replace", "store", "placement", "registry", "lifecycle", "swarm", "fleet", "describe_tasks"),
    "targets",
    "load_balancer",
    "rolling",
    "iam",
)


#: program -> Debian package
NEEDED = {
    "api": {"wrk": "wrk"},
    "rolling": {"wrk": "wrk"},
    "load_balancer": {"wrk": "wrk", "nginx": "nginx-light", "caddy": "caddy"},
    "registry": {"wrk": "wrk", "docker-registry": "docker-registry", "cc": "gcc libc6-dev"},
}


def install_needed(name: str) -> None:
    for program, packages in NEEDED.get(name, {}).items():
        if shutil.which(program):
            continue
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit(f"bench: {name} needs the program {program}; on Debian or Ubuntu: apt-get install {packages}")
        print(f"bench: installing {packages}", flush=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages.split()], check=True, capture_output=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*NAMES, []], help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side, taken in turns; medians are printed")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures there as well")
    given = parser.parse_args()

    from bench.report import Figure, table

    figures: list[Figure] = []
    for name in given.names or NAMES:
        print(f"── {name} ({time.strftime('%H:%M:%S')})", flush=True)
        if name == "store":
            subprocess.run([sys.executable, ROOT / "bench" / "store.py", "--rounds", str(given.rounds)], check=True)
            continue
        install_needed(name)
        module = __import__(f"bench.{name}", fromlist=["measure"])
        found = []
        for figure in module.measure(given.rounds):
            found.append(figure)
            print(f"   {figure.what}: {figure.ours:.4g} {figure.unit}", flush=True)
        print(table(found), flush=True)
        figures += found
    if given.json:
        facts = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(), "figures": [f.facts() for f in figures]}
        given.json.write_text(json.dumps(facts, indent=2) + "\n")
    missed = [figure.what for figure in figures if figure.met is False]
    if missed:
        print(f"targets not met: {'; '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
