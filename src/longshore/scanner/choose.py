"""Which scanner there is to be."""

from __future__ import annotations

import shutil
from pathlib import Path

from longshore.scanner.builtin import BuiltIn
from longshore.scanner.external import Dialect, External
from longshore.scanner.grype import Grype
from longshore.scanner.seam import Scanner
from longshore.scanner.trivy import Trivy
from longshore.scanner.worker import NAME

AUTO = "auto"
_DIALECTS: tuple[Dialect, ...] = (Trivy(), Grype())
CHOICES = (AUTO, NAME, *(dialect.name for dialect in _DIALECTS))


class NotInstalled(Exception):
    """The scanner asked for is not on this machine; the message names it."""


def choose(wanted: str, directory: Path, vulnerability_database: Path | None) -> Scanner:
    """`directory` is the scanner's own. With `auto` the operator's database decides, then what is installed. Raises NotInstalled."""
    if wanted == NAME or (wanted == AUTO and vulnerability_database is not None):
        return BuiltIn(directory, vulnerability_database)
    for dialect in _DIALECTS:
        if wanted in (AUTO, dialect.name) and (program := shutil.which(dialect.name)) is not None:
            return External(program, dialect, directory)
    if wanted != AUTO:
        raise NotInstalled(wanted)
    return BuiltIn(directory, None)
