"""No process of ours, and nothing that it starts, leaves an image of its memory on a disk."""

from __future__ import annotations

import subprocess
import sys

WITH_A_LIMIT = """
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from longshore.main import main
main(["nothing"])
shown = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
sys.exit(subprocess.run([sys.executable, "-c", shown]).returncode)
"""


def test_whatever_is_started_as_ours_leaves_no_core_and_neither_do_its_children() -> None:
    done = subprocess.run([sys.executable, "-c", WITH_A_LIMIT], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "0"
