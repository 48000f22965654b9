"""What the audit of dependencies says: known flaws, nothing known, or that nobody could be asked. The last is not the second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from audit_dependencies import CLEAN, LOCKS, UNKNOWN, VULNERABLE, Unreachable, audited, verdict  # noqa: E402

GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}]}
SKIPPED = {"name": "away", "skip_reason": "Dependency not found"}


def test_nothing_known_is_good_news_only_when_everything_was_asked_about() -> None:
    assert verdict([GOOD]) == (CLEAN, ["1 packages, no known vulnerability"])
    assert verdict([GOOD, SKIPPED]) == (UNKNOWN, ["1 of 2 packages could not be asked about (is there a network?): away"])
    assert verdict([])[0] == UNKNOWN


def test_every_flaw_is_named_with_its_cure() -> None:
    code, lines = verdict([SKIPPED, GOOD, BAD])
    assert code == VULNERABLE
    assert lines[:2] == ["bad 2: PYSEC-1, mended in 2.1", "bad 2: PYSEC-2, mended in no release yet"]
    assert "away" in lines[2]


def test_a_program_that_fails_has_found_nothing_out(tmp_path: Path) -> None:
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho trace >&2\necho 'no route to pypi.org' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Unreachable, match=r"runtime\.lock: no route to pypi\.org"):
        audited(program, ROOT / "requirements" / "runtime.lock")


def test_every_lock_that_is_installed_is_audited() -> None:
    locks = {path.stem for path in (ROOT / "requirements").glob("*.lock")}
    assert set(LOCKS) == locks - {"audit"}


def test_nobody_audits_by_accident() -> None:
    """CI must not depend on what a service says today, nor on its being there."""
    for file in (ROOT / ".ci").iterdir():
        assert "audit" not in file.read_text()
    told = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "audit" not in told
