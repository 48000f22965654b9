"""Task definitions with another image: what is registered anew, and what is different then. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from longshore.cli.outcome import ExitCode, Failure

#: members that DescribeTaskDefinition tells and RegisterTaskDefinition does not take
_TOLD_ONLY = frozenset(
    {
        *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy"),
        *("deregisteredAt", "deleteRequestedAt"),
    }
)
_IMAGE = re.compile(r"(?P<host>[^/]+)/(?P<name>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?")


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


def repository_of(image: str, registry: str) -> tuple[str, str] | None:
    """(repository, tag) of an image in the platform's own registry that is named by a tag; None for every other one."""
    found = _IMAGE.fullmatch(image)
    if found is None or found["digest"]:
        return None
    host, name = found["host"], found["name"]
    if host != registry and ".dkr.ecr." not in host:
        return None
    return name.rpartition(".amazonaws.com/")[2], found["tag"] or "latest"


def with_digest(image: str, digest: str) -> str:
    """The same image by its digest alone."""
    found = _IMAGE.fullmatch(image)
    assert found is not None
    return f"{found['host']}/{found['name']}@{digest}"
