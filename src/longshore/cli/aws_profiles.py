"""A profile of the user's AWS files: keys, region and endpoint, as AWS's own tools read them."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import msgspec

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import Credentials
from longshore.environment import Environment


class Profile(msgspec.Struct, frozen=True):
    credentials: Credentials | None = None
    session_token: str | None = None
    region: str = ""
    endpoint: str = ""
    ca_bundle: Path | str | None = None


def read_profile(given: Environment, name: str | None) -> Profile:
    """The profile of that name; without one, keys of the environment where it has some, else the profile that it names or `default`.

    Raises Failure for a name that the files do not know, and for files that cannot be read.
    """
    if name is None and given.credentials is not None:
        return Profile(given.credentials, given.session_token, given.region or "", ca_bundle=given.ca_bundle)
    chosen = name or given.aws_profile or "default"
    settings = section(given.aws_config_file, chosen if chosen == "default" else f"profile {chosen}")
    keys = section(given.aws_credentials_file, chosen) or settings
    if name is not None and not settings and not keys:
        raise Failure(
            f"there is no AWS profile {name!r}", f"{given.aws_config_file} and {given.aws_credentials_file} have them", ExitCode.USAGE
        )
    has_keys = keys.get("aws_access_key_id") and keys.get("aws_secret_access_key")
    return Profile(
        credentials=Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"]) if has_keys else None,
        session_token=keys.get("aws_session_token") or None,
        region=settings.get("region", ""),
        endpoint=settings.get("endpoint_url", ""),
        ca_bundle=settings.get("ca_bundle") or given.ca_bundle,
    )


def section(file: Path, name: str) -> dict[str, str]:
    """A section of an AWS ini file; empty when there is none. Raises Failure for a file that cannot be understood."""
    parser: Any = configparser.RawConfigParser(strict=False, default_section="", allow_no_value=True)
    try:
        parser.read_string(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "correct it") from error
    found = next((section for section in parser.sections() if " ".join(section.replace('"', "").split()) == name), None)
    return {} if found is None else {key: value or "" for key, value in parser.items(found)}
