"""Lifecycle policies and cases that others wrote down, where they lie beside the repository; empty where they do not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[5] / "shared" / "data"
_CASES = DATA / "lifecycle_cases.json"

CASES: list[dict[str, Any]] = json.loads(_CASES.read_text())["cases"] if _CASES.exists() else []
SAMPLES: list[Path] = sorted((DATA / "lifecycle").iterdir()) if (DATA / "lifecycle").is_dir() else []


def policies_in(path: Path) -> list[str]:
    """The texts of the policies in a file: all of it, or JSON objects with rules inside Markdown or CloudFormation."""
    content = path.read_text()
    # what CloudFormation fills in is a number in these templates
    content = re.sub(r'"([^"\n]*)\$\{\w+\}([^"\n]*)"', r'"\1x\2"', content)
    content = re.sub(r"\$\{\w+\}", "180", content)
    found: list[str] = []
    decoder = json.JSONDecoder()
    for match in re.finditer(r'\{\s*"rules"', content):
        policy, _ = decoder.raw_decode(content[match.start() :])
        found.append(json.dumps(policy))
    return found
