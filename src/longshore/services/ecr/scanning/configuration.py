"""How often a repository's images are scanned: the registry's rules where there are any, else the repository's own older flag.

A filter with `*` stands for whole names, one without for every name that contains it; where rules of both kinds match,
continuous scanning wins. https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-filters.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from longshore.aws.shapes import ecr as shapes
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.model import Repository
from longshore.services.ecr.scanning.model import REGISTRY_SCANNING, RegistryScanning, ScanningRule, registry_scanning_key
from longshore.store.base import Reader

_MOST_WILDCARDS = 4
#: scan type -> the frequencies it has
_FREQUENCIES = {"BASIC": frozenset({"SCAN_ON_PUSH", "MANUAL"}), "ENHANCED": frozenset({"SCAN_ON_PUSH", "CONTINUOUS_SCAN"})}


class Frequency(NamedTuple):
    #: SCAN_ON_PUSH, CONTINUOUS_SCAN or MANUAL
    name: str
    #: the filters that decided; none where no rule did
    filters: tuple[str, ...] = ()

    @property
    def on_push(self) -> bool:
        return self.name != "MANUAL"


def scanning_of(reader: Reader, region: str, account_id: str) -> RegistryScanning:
    found = reader.get(REGISTRY_SCANNING, registry_scanning_key(region, account_id))
    return found or RegistryScanning(region=region, account_id=account_id)


def frequency_of(scanning: RegistryScanning, repository: Repository) -> Frequency:
    if not scanning.rules:
        return Frequency("SCAN_ON_PUSH" if repository.scan_on_push and scanning.scan_type == "BASIC" else "MANUAL")
    found: dict[str, tuple[str, ...]] = {}
    for rule in scanning.rules:
        applied = tuple(each for each in rule.filters if applies(each, repository.name))
        if applied:
            found[rule.frequency] = applied
    for name in ("CONTINUOUS_SCAN", "SCAN_ON_PUSH", "MANUAL"):
        if name in found:
            return Frequency(name, found[name])
    return Frequency("MANUAL")


def applies(pattern: str, name: str) -> bool:
    """Only `*` is special in a filter: its alphabet has neither `?` nor `[`."""
    return fnmatchcase(name, pattern) if "*" in pattern else pattern in name


def checked_rules(scan_type: str, rules: Iterable[shapes.RegistryScanningRule]) -> tuple[ScanningRule, ...]:
    """Raises InvalidParameterException."""
    checked = tuple(ScanningRule(rule.scan_frequency, tuple(each.filter for each in rule.repository_filters)) for rule in rules)
    twice = [frequency for frequency, count in Counter(rule.frequency for rule in checked).items() if count > 1]
    if twice:
        raise _invalid(f"{twice[0]} may be specified in one rule only")
    for rule in checked:
        if rule.frequency not in _FREQUENCIES[scan_type]:
            raise _invalid(f"{rule.frequency} is not supported for scan type {scan_type}")
        if not rule.filters:
            raise _invalid("a rule must have at least one repository filter")
        for pattern in rule.filters:
            if pattern.count("*") > _MOST_WILDCARDS:
                raise _invalid(f"a filter can contain a maximum of {_MOST_WILDCARDS} wildcards")
    return checked


def _invalid(why: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid parameter at 'rules' failed to satisfy constraint: '{why}'")
