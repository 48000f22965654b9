"""Under which names OSV's databases know an image's packages.

Debian, Ubuntu and Alpine record vulnerabilities by source package, distributions of RPMs by the package itself.
https://ossf.github.io/osv-schema/#defined-ecosystems
"""

from __future__ import annotations

from typing import NamedTuple

from longshore.scanner.report import Distribution, Package

_LANGUAGES = {"pip": "PyPI", "npm": "npm"}
_BY_SOURCE = frozenset({"dpkg", "apk"})


class Lookup(NamedTuple):
    ecosystem: str
    name: str
    version: str


def ecosystem_of(distribution: Distribution) -> str | None:
    """None for a distribution (or a development state of one) that has no vulnerability records of its own in OSV's databases."""
    version = distribution.version_id
    major = version.partition(".")[0]
    if distribution.id == "wolfi":
        return "Wolfi"
    if distribution.id == "chainguard":
        return "Chainguard"
    if not version:
        return None
    match distribution.id:
        case "debian":
            return f"Debian:{major}"
        case "ubuntu":
            return f"Ubuntu:{version}"
        case "alpine":
            minor = ".".join(version.split("_")[0].split(".")[:2])
            return f"Alpine:v{minor}"
        case "rocky":
            return f"Rocky Linux:{major}"
        case "almalinux":
            return f"AlmaLinux:{major}"
        case "rhel":
            return f"Red Hat:enterprise_linux:{major}"
        case "opensuse-leap":
            return f"openSUSE:Leap {version}"
        case "mageia":
            return f"Mageia:{major}"
        case "photon":
            return f"Photon OS:{version}"
        case "azurelinux":
            return f"Azure Linux:{major}"
    return None


def lookup(package: Package, distribution: Distribution) -> Lookup | None:
    """None where no database would know the package."""
    language = _LANGUAGES.get(package.manager)
    if language is not None:
        return Lookup(language, package.name, package.version)
    ecosystem = ecosystem_of(distribution)
    if ecosystem is None:
        return None
    if package.manager in _BY_SOURCE and package.source:
        return Lookup(ecosystem, package.source, package.source_version or package.version)
    return Lookup(ecosystem, package.name, package.version)
