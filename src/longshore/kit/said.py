"""What a process tells whoever started it: one line of JSON on its standard output for each event."""

from __future__ import annotations

import sys

import msgspec


def say(**facts: object) -> None:
    sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    sys.stdout.flush()
