"""Which distribution an image is made from. https://www.freedesktop.org/software/systemd/man/latest/os-release.html"""

from __future__ import annotations

import re
from collections.abc import Mapping

from longshore.scanner.inventory.text import LONGEST
from longshore.scanner.layers import File
from longshore.scanner.report import Distribution

#: the first of these that is there counts
_PATHS = ("etc/os-release", "usr/lib/os-release")
_ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def distribution_of(files: Mapping[str, File]) -> Distribution:
    for path in _PATHS:
        file = files.get(path)
        if file is not None:
            values = _assignments(file.content)
            return Distribution(
                id=values.get("ID", "").lower(),
                version_id=values.get("VERSION_ID", ""),
                name=values.get("PRETTY_NAME", "") or values.get("NAME", ""),
                version=values.get("VERSION", ""),
            )
    return Distribution()


def _assignments(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        assignment = _ASSIGNMENT.fullmatch(line.strip())
        if assignment is not None:
            found[assignment[1]] = _unquoted(assignment[2])[:LONGEST]
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        quote, value = value[0], value[1:-1]
        return re.sub(r"\\(.)", r"\1", value) if quote == '"' else value
    return value
