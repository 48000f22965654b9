"""What a registry asks for with a 401: the WWW-Authenticate header, read.

A registry names a scheme (Basic, or Bearer with the address of a token server) and parameters, quoted or not. Several
challenges may stand in one header or in several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_LONGEST = 4096
_SCHEME = re.compile(r"\s*,*\s*([A-Za-z][A-Za-z0-9_-]*)(?=\s+[A-Za-z]|\s*$|\s*,)")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",]+)')


class Challenge(NamedTuple):
    scheme: str  # lower case
    parameters: Mapping[str, str]


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """In the order in which they stand; what cannot be read is left out."""
    found = []
    for header in headers:
        at = 0
        text = header[:_LONGEST]
        while (scheme := _SCHEME.match(text, at)) is not None:
            at = scheme.end()
            parameters: dict[str, str] = {}
            while (parameter := _PARAMETER.match(text, at)) is not None:
                parameters[parameter[1].lower()] = _unquoted(parameter[2])
                at = parameter.end()
            found.append(Challenge(scheme[1].lower(), parameters))
    return found


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
