"""Upstream registries: those AWS names, at their addresses, and any other by its address."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.services.ecr.errors import InvalidParameterException, UnsupportedUpstreamRegistryException
from longshore.services.ecr.remote.addresses import AddressRefused, place_of

#: AWS's name -> the host it stands for; what is not here has a host of its own for each customer
_HOSTS: Mapping[str, str] = {
    "ecr-public": "public.ecr.aws",
    "quay": "quay.io",
    "k8s": "registry.k8s.io",
    "docker-hub": "registry-1.docker.io",
    "github-container-registry": "ghcr.io",
    "gitlab-container-registry": "registry.gitlab.com",
    "chainguard": "cgr.dev",
}
_NAMES = {host: name for name, host in _HOSTS.items()}
_AZURE = ".azurecr.io"


def checked_upstream(url: str, name: str | None) -> str:
    """AWS's name of the upstream at `url`, "" for one it has no name for.

    Raises InvalidParameterException for an address that cannot be reached from here, UnsupportedUpstreamRegistryException where
    `name` is given and means another address.
    """
    try:
        host = place_of(url).origin.host or ""
    except AddressRefused as refused:
        raise InvalidParameterException(
            f"Invalid parameter at 'upstreamRegistryUrl' failed to satisfy constraint: '{refused}'"
        ) from refused
    if name == "ecr":
        raise UnsupportedUpstreamRegistryException(
            "An Amazon ECR private registry is not supported as an upstream by its role: give its address and a secret."
        )
    known = _NAMES.get(host, "azure-container-registry" if host.endswith(_AZURE) else "")
    if name is not None and name != known:
        raise UnsupportedUpstreamRegistryException(f"The upstream registry {name} is not at {host}.")
    return known
