"""Task definitions with another image: what is registered anew, and what is different then. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from longshore.aws.image_names import is_loopback, registry_host, registry_in_path, split_image
from longshore.cli.outcome import ExitCode, Failure

#: members that DescribeTaskDefinition tells and RegisterTaskDefinition does not take
_TOLD_ONLY = frozenset(
    {
        *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy"),
        *("deregisteredAt", "deleteRequestedAt"),
    }
)


def with_image(definition: Mapping[str, Any], image: str, container: str | None, tags: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The request that registers `definition` again with `image` in `container`, or in the only one. Raises Failure."""
    request = {name: value for name, value in definition.items() if name not in _TOLD_ONLY}
    containers = [dict(one) for one in request.get("containerDefinitions") or ()]
    names = [str(one.get("name")) for one in containers]
    if container is None and len(containers) != 1:
        raise Failure(f"which of the containers {', '.join(names)}?", "name it with --container", ExitCode.USAGE)
    chosen = names[0] if container is None else container
    if chosen not in names:
        raise Failure(f"there is no container {chosen}", f"name one of {', '.join(names)}", ExitCode.USAGE)
    request["containerDefinitions"] = [{**one, "image": image} if one.get("name") == chosen else one for one in containers]
    own = [dict(tag) for tag in tags if not str(tag.get("key", "")).lower().startswith("aws:")]
    return {**request, **({"tags": own} if own else {})}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(where, what was, what will be), of what RegisterTaskDefinition takes; empty where nothing is."""
    old, new = dict(_leaves(_stripped(before))), dict(_leaves(_stripped(after)))
    return [
        (where, old.get(where, ""), new.get(where, "")) for where in sorted(old.keys() | new.keys()) if old.get(where) != new.get(where)
    ]


def _stripped(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if name not in _TOLD_ONLY and name != "tags"}


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Containers, variables and the like are told by their names, not by their places."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
        for number, one in enumerate(value):
            label = one.get("name") or one.get("key") or number
            yield from _leaves({key: below for key, below in one.items() if key not in ("name", "key")}, f"{where}[{label}]")
    else:
        yield where, value if isinstance(value, str) else json.dumps(value)


class OwnImage(NamedTuple):
    """An image in a platform's own registry, named by a tag. Account and region are "" where the platform's own are meant."""

    account_id: str
    region: str
    repository: str
    tag: str


def own_image(image: str, endpoint: str) -> OwnImage | None:
    """None for an image in a registry that is not the platform's at `endpoint`, whatever it is called, and for one named by its digest.

    The platform's are the hosts by which its tasks' images are pulled from it: the endpoint's, a loopback name with its port, and
    `ACCOUNT.dkr.ecr.REGION` before `localhost` with that port (or before the endpoint's host). Amazon's own registries are not.
    """
    reference = split_image(image)
    if reference is None or reference.digest:
        return None
    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    account_id, region, name = "", "", reference.path
    named = registry_host(reference.host)
    if named is not None:
        account_id, region = named.account_id, named.region
    if not _is_platform(reference.host.lower() if named is None else named.domain, url.netloc.lower(), port, loopback=named is None):
        return None
    account_id, region, name = registry_in_path(name) or (account_id, region, name)
    return OwnImage(account_id, region, name, reference.tag or "latest")


def _is_platform(host: str, registry: str, port: int, *, loopback: bool) -> bool:
    name, colon, given = host.rpartition(":")
    if not colon:
        name, given = host, "80"
    return host == registry or (given == str(port) and (is_loopback(name) if loopback else name == "localhost"))


def with_digest(image: str, digest: str) -> str:
    """The same image by its digest alone."""
    reference = split_image(image)
    assert reference is not None
    return f"{reference.host}/{reference.path}@{digest}"
