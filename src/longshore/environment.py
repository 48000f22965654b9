"""The only module that reads the environment: every variable that means anything here, once, with its form checked.

Variables of Longshore's own begin with LONGSHORE_; those of AWS and Docker mean what they mean to their own tools.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from longshore.config import DEFAULT_DOCKER_URL, Credentials


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is taken from environment variables; options on the command line win over it."""

    home: Path
    data_dir: Path
    aws_config_file: Path
    aws_credentials_file: Path
    aws_profile: str | None
    #: directory of docker's own settings
    docker_config: Path
    docker_url: str
    haproxy: str
    port: int | None
    host: str | None
    region: str | None
    account_id: str | None
    zones: str | None
    instances: int | None
    dev: bool
    tls: bool | None
    insecure: bool
    rate_limits: str | None
    encrypt: bool | None
    vulnerability_database: Path | None
    scanner: str | None
    #: seconds
    stopped_tasks_kept_s: float | None
    task_history_kept_s: float | None
    lost_after_s: float | None
    events_days: int | None
    events_mib: int | None
    audit_days: int | None
    audit_mib: int | None
    audit_best_effort: bool | None
    log_level: str
    endpoint: str | None
    #: PEM of what to trust beside the system's authorities at `endpoint`
    ca_bundle: Path | None
    #: the root access key to use in place of one made on the first start
    root_credentials: Credentials | None
    #: of the user who joins this machine to a platform elsewhere
    credentials: Credentials | None
    session_token: str | None
    #: base64 of what the installation's secrets are wrapped with
    master_key: str = ""


class BadSetting(Exception):
    """An environment variable has a value that cannot be used."""


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Reads the environment (or `variables` in its place); raises BadSetting with the variable's name."""
    given = os.environ if variables is None else variables
    home = Path(given.get("HOME") or os.path.expanduser("~"))
    root = _credentials(given, "LONGSHORE")
    return Environment(
        home=home,
        data_dir=Path(given["LONGSHORE_DATA_DIR"]).absolute() if given.get("LONGSHORE_DATA_DIR") else default_data_dir(home, os.geteuid()),
        aws_config_file=Path(given.get("AWS_CONFIG_FILE") or home / ".aws" / "config"),
        aws_credentials_file=Path(given.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials"),
        aws_profile=given.get("AWS_PROFILE") or None,
        docker_config=Path(given.get("DOCKER_CONFIG") or home / ".docker"),
        docker_url=given.get("LONGSHORE_DOCKER_URL") or given.get("DOCKER_HOST") or DEFAULT_DOCKER_URL,
        haproxy=given.get("LONGSHORE_HAPROXY") or "haproxy",
        port=_whole_number(given, "LONGSHORE_PORT", 1, 65535),
        host=given.get("LONGSHORE_HOST") or None,
        region=given.get("LONGSHORE_REGION") or None,
        account_id=given.get("LONGSHORE_ACCOUNT_ID") or None,
        zones=given.get("LONGSHORE_ZONES") or None,
        instances=_whole_number(given, "LONGSHORE_INSTANCES", 0, 250),
        dev=_yes(given, "LONGSHORE_DEV"),
        tls=_yes(given, "LONGSHORE_TLS") if given.get("LONGSHORE_TLS") else None,
        insecure=_yes(given, "LONGSHORE_INSECURE"),
        rate_limits=given.get("LONGSHORE_RATE_LIMITS") or None,
        encrypt=_yes(given, "LONGSHORE_ENCRYPT") if given.get("LONGSHORE_ENCRYPT") else None,
        vulnerability_database=_path(given, "LONGSHORE_VULNERABILITY_DATABASE"),
        scanner=given.get("LONGSHORE_SCANNER") or None,
        stopped_tasks_kept_s=_duration(given, "LONGSHORE_STOPPED_TASKS_KEPT"),
        task_history_kept_s=_duration(given, "LONGSHORE_TASK_HISTORY_KEPT"),
        lost_after_s=_duration(given, "LONGSHORE_LOST_AFTER"),
        events_days=_whole_number(given, "LONGSHORE_EVENTS_DAYS", 1, 3650),
        events_mib=_whole_number(given, "LONGSHORE_EVENTS_MIB", 1, 1 << 20),
        audit_days=_whole_number(given, "LONGSHORE_AUDIT_DAYS", 1, 3650),
        audit_mib=_whole_number(given, "LONGSHORE_AUDIT_MIB", 64, 1 << 24),
        audit_best_effort=_yes(given, "LONGSHORE_AUDIT_BEST_EFFORT") if given.get("LONGSHORE_AUDIT_BEST_EFFORT") else None,
        log_level=given.get("LONGSHORE_LOG_LEVEL") or "info",
        endpoint=given.get("LONGSHORE_ENDPOINT") or given.get("AWS_ENDPOINT_URL") or None,
        ca_bundle=Path(given["AWS_CA_BUNDLE"]).absolute() if given.get("AWS_CA_BUNDLE") else None,
        root_credentials=root,
        credentials=root or _credentials(given, "AWS"),
        session_token=None if root else given.get("AWS_SESSION_TOKEN") or None,
        master_key=given.get("LONGSHORE_MASTER_KEY", "").strip(),
    )


#: what no process that is started here gets to see
_SECRET_VARIABLES = frozenset({"LONGSHORE_MASTER_KEY", "LONGSHORE_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})


def without_secrets(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment (or `variables` in its place) as processes are to have it that are started from here."""
    given = os.environ if variables is None else variables
    return {name: value for name, value in given.items() if name not in _SECRET_VARIABLES}


def default_data_dir(home: Path, user_id: int) -> Path:
    """Root keeps the machine's platform; any other user has one of their own."""
    return Path("/var/lib/longshore") if user_id == 0 else home / ".local" / "share" / "longshore"


def _credentials(given: Mapping[str, str], prefix: str) -> Credentials | None:
    key, secret = given.get(f"{prefix}_ACCESS_KEY_ID"), given.get(f"{prefix}_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        raise BadSetting(f"{prefix}_ACCESS_KEY_ID and {prefix}_SECRET_ACCESS_KEY belong together; one of them is missing")
    return Credentials(key, secret) if key and secret else None


def _path(given: Mapping[str, str], name: str) -> Path | None:
    return Path(given[name]).absolute() if given.get(name) else None


def _whole_number(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise BadSetting(f"{name} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: str) -> float | None:
    """Of a duration such as 90s, 15m, 24h, 7d or 2w, or a bare number of seconds; None for anything else."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS_S else (text, "s")
    return int(number) * _UNITS_S[unit] if number.isascii() and number.isdigit() and len(number) < 10 else None


def _duration(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name)
    if not text:
        return None
    found = seconds(text)
    if found is None:
        raise BadSetting(f"{name} is {text!r}; it must be a duration such as 90m, 24h or 7d")
    return found


def _yes(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "").lower()
    if text in ("", "0", "no", "false"):
        return False
    if text in ("1", "yes", "true"):
        return True
    raise BadSetting(f"{name} is {given[name]!r}; it must be 1 or 0")
