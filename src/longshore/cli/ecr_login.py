"""`longshore ecr-login`, and the program `docker-credential-longshore`: registry passwords without a command to type every 12 hours.

As a command it hands a fresh token to `docker login`, `podman login` or the like, over their standard input. As a credential
helper it is asked by docker, podman, buildah and skopeo whenever they need one
(https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol), so that nothing is stored at all. The platform, and
who asks it, are told by AWS_ENDPOINT_URL with AWS_ACCESS_KEY_ID … or else by the AWS profile (AWS_PROFILE, or `longshore`).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from longshore.cli import machine, profile
from longshore.cli.aws_profiles import section
from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DEFAULT_REGION, Credentials, write_privately
from longshore.environment import BadSetting, Environment, environment

#: what credHelpers name; the program is docker-credential-<this>
HELPER = "longshore"
PROGRAMS = ("docker", "podman", "buildah", "skopeo")
#: what clients of the protocol know as "ask somebody else"
_NOT_FOUND = "credentials not found in native keychain"
_MOST_INPUT = 65_536
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REGISTRY_NAME = re.compile(r"[0-9]{12}\.dkr[.-]ecr\.[a-z0-9-]+\.localhost")


@dataclass(frozen=True, slots=True)
class Access:
    """The platform, and as whom it is asked."""

    endpoint: str
    region: str
    credentials: Credentials
    session_token: str | None
    ca_bundle: Path | str | None


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str
    #: host and port of the registry
    registry: str


class _Authorization(msgspec.Struct, frozen=True, rename="camel"):
    authorization_token: str
    proxy_endpoint: str


class _Authorizations(msgspec.Struct, frozen=True, rename="camel"):
    authorization_data: tuple[_Authorization, ...] = ()


def find_access(given: Environment) -> Access:
    """Endpoint and keys from one source: the environment where it names an endpoint, the AWS profile otherwise. Raises Failure."""
    name = given.aws_profile or profile.NAME
    settings = section(given.aws_config_file, f"profile {name}" if name != "default" else name)
    keys = section(given.aws_credentials_file, name)
    from_profile = None
    if keys.get("aws_access_key_id") and keys.get("aws_secret_access_key"):
        from_profile = Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"])
    region = given.region or settings.get("region") or DEFAULT_REGION
    if given.endpoint:
        credentials, token = (
            (given.credentials, given.session_token) if given.credentials else (from_profile, keys.get("aws_session_token"))
        )
        trust: Path | str | None = given.ca_bundle or settings.get("ca_bundle")
        endpoint = given.endpoint
    else:
        credentials, token = from_profile, keys.get("aws_session_token")
        trust, endpoint = settings.get("ca_bundle") or given.ca_bundle, settings.get("endpoint_url", "")
    if not endpoint or credentials is None:
        raise Failure(
            f"neither the environment nor the AWS profile {name!r} tells a platform and a key",
            "`longshore env` writes the profile; elsewhere set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ExitCode.USAGE,
        )
    return Access(endpoint.rstrip("/"), region, credentials, token, trust)


def fresh_login(access: Access) -> Login:
    """A token of 12 hours; raises Failure."""
    platform = Platform(access.endpoint, access.region, access.credentials, ca_bundle=access.ca_bundle, session_token=access.session_token)
    answer = platform.ecr("GetAuthorizationToken", {}, _Authorizations)
    if not answer.authorization_data:
        raise Failure(f"{access.endpoint} gave no authorization token")
    given = answer.authorization_data[0]
    user, _, password = base64.b64decode(given.authorization_token).decode().partition(":")
    return Login(user, password, urllib.parse.urlsplit(given.proxy_endpoint).netloc)


def log_in(access: Access, registry: str | None, program: str | None) -> str:
    """Hands a token to a container tool; gives the registry it is logged in to. Raises Failure in the tool's words."""
    login = fresh_login(access)
    where = registry or login.registry
    name = program or next((known for known in PROGRAMS if machine.find_program(known)), None)
    path = machine.find_program(name) if name else None
    if name is None or path is None:
        raise Failure(f"{name or 'none of ' + ', '.join(PROGRAMS)} is not installed", "install it, or name another with --with")
    command = [path, "login", "--username", login.user, "--password-stdin"]
    if name != "docker" and access.endpoint.startswith("http://"):
        command.append("--tls-verify=false")
    done = subprocess.run([*command, where], input=login.password, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fix = "`longshore ca --install` lets it trust our certificate" if "x509" in done.stderr or "certificate" in done.stderr else ""
        raise Failure(f"{name} login {where}: {done.stderr.strip() or done.stdout.strip()}", fix)
    return where


def install(given: Environment, registries: Sequence[str]) -> tuple[Path, list[str]]:
    """Makes docker ask the helper for each of `registries`; gives the file and what else is needed for it to work. Raises Failure."""
    file = given.docker_config / "config.json"
    try:
        before = file.read_text()
    except FileNotFoundError:
        before = "{}"
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", "see to its permissions") from error
    try:
        settings = json.loads(before or "{}")
        helpers = settings.setdefault("credHelpers", {})
        auths = settings.get("auths", {})
        for registry in registries:
            helpers[registry] = HELPER
            auths.pop(registry, None)  # what an earlier login has left there is not needed any more
    except (ValueError, AttributeError, TypeError) as error:
        raise Failure(f"{file} is not what docker writes there: {error}", "correct it or move it away") from error
    target = file.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_privately(target, json.dumps(settings, indent="\t").encode() + b"\n")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}", "see to its permissions") from error
    program = f"docker-credential-{HELPER}"
    if machine.find_program(program):
        return file, []
    return file, [f"docker looks for {program} in PATH: put {Path(sys.executable).parent} there, or a link to the program"]


def serves(access: Access, server: str) -> bool:
    """Whether a token of this platform may be given to `server` (a URL, or host and port): only to the platform itself."""
    own = urllib.parse.urlsplit(access.endpoint)
    try:
        asked = urllib.parse.urlsplit(server if "://" in server else f"{own.scheme}://{server}")
        ports = [url.port or (443 if url.scheme == "https" else 80) for url in (asked, own)]
    except ValueError:
        return False
    host = asked.hostname or ""
    if ports[0] != ports[1]:
        return False
    return host == own.hostname or (own.hostname in _LOOPBACK and (host in _LOOPBACK or _REGISTRY_NAME.fullmatch(host) is not None))


def credential_helper() -> None:
    """The program `docker-credential-longshore`."""
    sys.exit(helper(sys.argv[1:], sys.stdin.read(_MOST_INPUT).strip() if sys.argv[1:2] not in ([], ["list"]) else ""))


def helper(arguments: Sequence[str], given: str) -> int:
    """One request of the protocol, `given` being its input. Answers on standard output, refusals too; returns the exit code."""
    try:
        match list(arguments):
            case ["get"]:
                return _tell(given)
            case ["store" | "erase"]:
                return 0  # nothing is kept, so there is nothing to forget
            case ["list"]:
                registry = urllib.parse.urlsplit(find_access(environment()).endpoint).netloc
                print(json.dumps({registry: "AWS"}))
                return 0
            case _:
                print("usage: docker-credential-longshore get|store|erase|list", file=sys.stderr)
                return ExitCode.USAGE
    except Failure as failure:
        print(f"longshore: {failure.cause}{f' → {failure.fix}' if failure.fix else ''}")
    except BadSetting as error:
        print(f"longshore: {error}")
    return ExitCode.FAILED


def _tell(server: str) -> int:
    access = find_access(environment())
    if not serves(access, server):
        print(_NOT_FOUND)
        return ExitCode.FAILED
    login = fresh_login(access)
    print(json.dumps({"ServerURL": server, "Username": login.user, "Secret": login.password}))
    return 0
