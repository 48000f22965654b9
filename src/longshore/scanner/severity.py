"""How bad a vulnerability is, in ECR's words: from a CVSS vector where there is one, else from the word its database uses.

Base scores are worked out from version 3 vectors, and from version 2 where nothing else is said. Version 4 has no formula but tables of
expert judgement; its vectors are shown and not scored.
https://www.first.org/cvss/v3-1/specification-document#7-4-Metric-Values, https://www.first.org/cvss/v2/guide
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_WORDS = {
    "critical": "CRITICAL",
    "high": "HIGH",
    "important": "HIGH",
    "medium": "MEDIUM",
    "moderate": "MEDIUM",
    "low": "LOW",
    "minor": "LOW",
    "negligible": "INFORMATIONAL",
    "unimportant": "INFORMATIONAL",
    "informational": "INFORMATIONAL",
    "none": "INFORMATIONAL",
}

_V3: Mapping[str, Mapping[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_V2: Mapping[str, Mapping[str, float]] = {
    "AV": {"L": 0.395, "A": 0.646, "N": 1.0},
    "AC": {"H": 0.35, "M": 0.61, "L": 0.71},
    "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
    "C": {"N": 0.0, "P": 0.275, "C": 0.66},
    "I": {"N": 0.0, "P": 0.275, "C": 0.66},
    "A": {"N": 0.0, "P": 0.275, "C": 0.66},
}


def of_word(word: object) -> str:
    """UNDEFINED for a word that says nothing."""
    return _WORDS.get(word.strip().lower(), "UNDEFINED") if isinstance(word, str) else "UNDEFINED"


def of_score(score: float) -> str:
    """The qualitative rating of a base score."""
    if score >= 9.0:
        return "CRITICAL"
    if score >= 7.0:
        return "HIGH"
    if score >= 4.0:
        return "MEDIUM"
    return "LOW" if score > 0.0 else "INFORMATIONAL"


def base_score(vector: str) -> float | None:
    """None for what is no vector of version 2 or 3, or lacks a base metric."""
    metrics = dict(part.split(":", 1) for part in vector.strip().strip("()").split("/") if ":" in part)
    version = metrics.pop("CVSS", "2.0")
    try:
        if version in ("3.0", "3.1"):
            return _score_3(metrics)
        return _score_2(metrics) if version == "2.0" else None
    except KeyError:
        return None


def version_of(vector: str) -> str:
    """ "3.1" of `CVSS:3.1/…`; vectors of version 2 carry none."""
    head, _, _ = vector.partition("/")
    return head.removeprefix("CVSS:") if head.startswith("CVSS:") else "2.0"


def _score_3(metrics: Mapping[str, str]) -> float:
    changed = {"U": False, "C": True}[metrics["S"]]
    value = {name: weights[metrics[name]] for name, weights in _V3.items()}
    privileges = _PRIVILEGES[metrics["S"]][metrics["PR"]]
    loss = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    impact = 7.52 * (loss - 0.029) - 3.25 * (loss - 0.02) ** 15 if changed else 6.42 * loss
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    return _round_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10.0))


def _round_up(score: float) -> float:
    """To the next tenth, immune to how binary fractions fall: as version 3.1 prescribes."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10


def _score_2(metrics: Mapping[str, str]) -> float:
    value = {name: weights[metrics[name]] for name, weights in _V2.items()}
    impact = 10.41 * (1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"]))
    exploitability = 20 * value["AV"] * value["AC"] * value["Au"]
    return round(((0.6 * impact) + (0.4 * exploitability) - 1.5) * (1.176 if impact else 0.0), 1)
