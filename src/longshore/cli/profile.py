"""The AWS profile `longshore`: written into the user's own AWS files, of which every other line is left as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from longshore.config import Credentials, write_privately
from longshore.environment import Environment

NAME = "longshore"
_HEADER = re.compile(r"\s*\[(?P<name>[^\]]*)\]")
_SETTING = re.compile(r"(?P<key>[^\s=#;\[][^=]*?)\s*=")


def write(endpoint: str, region: str, credentials: Credentials, environment: Environment, ca_bundle: Path | str | None = None) -> None:
    """Points the profile at a platform; raises OSError where the files cannot be written."""
    trust = None if ca_bundle is None else str(ca_bundle)
    _change(environment.aws_config_file, f"profile {NAME}", {"region": region, "endpoint_url": endpoint, "ca_bundle": trust})
    _change(
        environment.aws_credentials_file,
        NAME,
        {"aws_access_key_id": credentials.access_key_id, "aws_secret_access_key": credentials.secret_access_key},
    )


def _change(path: Path, section: str, settings: Mapping[str, str | None]) -> None:
    try:
        before = path.read_text()
    except FileNotFoundError:
        before = ""
    after = with_section(before, section, settings)
    if after == before:
        return
    # The file itself may be a link into someone's dotfiles: what it points at is replaced, not the link.
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_privately(target, after.encode())


def with_section(text: str, section: str, settings: Mapping[str, str | None]) -> str:
    """`text` (an AWS ini file) with `settings` in `section`: keys there are replaced, or removed (None), all else is kept."""
    lines = text.splitlines()
    begin, end = _section_bounds(lines, section)
    if begin is None:
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, f"[{section}]", *_lines_of(settings)]) + "\n"
    kept = [line for line in lines[begin + 1 : end] if not _sets_one_of(line, settings)]
    return "\n".join([*lines[: begin + 1], *_lines_of(settings), *kept, *lines[end:]]) + "\n"


def _section_bounds(lines: list[str], section: str) -> tuple[int | None, int]:
    """(line of the header or None, line after the section's last)."""
    begin = None
    for number, line in enumerate(lines):
        header = _HEADER.match(line)
        if header is None:
            continue
        if begin is not None:
            return begin, number
        if " ".join(header["name"].replace('"', "").split()) == section:
            begin = number
    return begin, len(lines)


def _sets_one_of(line: str, settings: Mapping[str, str | None]) -> bool:
    setting = _SETTING.match(line)
    return setting is not None and setting["key"] in settings


def _lines_of(settings: Mapping[str, str | None]) -> list[str]:
    return [f"{key} = {value}" for key, value in settings.items() if value is not None]
