"""Does anybody know of a vulnerability in a package that we pin? Asks the index about every entry of requirements/*.lock.

    make audit-dependencies        exit code 0: none known; 1: some are; 3: it could not be found out (no network, say)

pip-audit does the asking, pinned with its own hashes (requirements/audit.lock) and in an environment of its own under build/. It is no
part of CI: what it finds depends on the day and on the network, and a change must not fail for what the world learned over night. Run it
before a release, and once a week.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "audit"
LOCKS = ("runtime", "dev", "bench")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
_MOST_SHOWN = 10


def main() -> int:
    found: dict[str, Mapping[str, Any]] = {}
    try:
        program = installed()
        for lock in LOCKS:
            for dependency in audited(program, ROOT / "requirements" / f"{lock}.lock"):
                found[dependency["name"]] = dependency
    except Unreachable as problem:
        print(f"not audited: {problem}", file=sys.stderr)
        return UNKNOWN
    code, lines = verdict(found.values())
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


class Unreachable(Exception):
    """Whoever knows could not be asked."""


def installed() -> Path:
    """pip-audit, as it is pinned. Raises Unreachable."""
    lock = ROOT / "requirements" / "audit.lock"
    program, mark = HOME / "bin" / "pip-audit", HOME / "installed.lock"
    if program.exists() and mark.exists() and mark.read_bytes() == lock.read_bytes():
        return program
    venv.create(HOME, clear=True, with_pip=True)
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run([*pip, "-r", str(lock)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unreachable(f"pip-audit cannot be installed: {_last_line(done.stderr)}")
    mark.write_bytes(lock.read_bytes())
    return program


def audited(program: Path, lock: Path) -> list[dict[str, Any]]:
    """What is known of each entry of `lock`. Raises Unreachable."""
    command = [str(program), "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json", "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise Unreachable(f"{lock.name}: {_last_line(done.stderr)}") from None
    return list(told)


def verdict(dependencies: Any) -> tuple[int, list[str]]:
    """(exit code, lines for people) of what pip-audit told."""
    known = sorted(dependencies, key=lambda one: one["name"])
    bad = [one for one in known if one.get("vulns")]
    skipped = [one["name"] for one in known if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw.get('fix_versions') or ()) or 'no release yet'}"
        for one in bad
        for flaw in one["vulns"]
    ]
    if skipped:
        shown = ", ".join(skipped[:_MOST_SHOWN]) + (" …" if len(skipped) > _MOST_SHOWN else "")
        lines.append(f"{len(skipped)} of {len(known)} packages could not be asked about (is there a network?): {shown}")
    if bad:
        return VULNERABLE, lines
    if skipped or not known:
        return UNKNOWN, lines or ["there was nothing to audit"]
    return CLEAN, [f"{len(known)} packages, no known vulnerability"]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it says nothing"


if __name__ == "__main__":
    sys.exit(main())
