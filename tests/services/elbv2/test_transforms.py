"""Transforms: one rewrite of each kind, in the dialect AWS takes, naming only groups that there are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.transforms import checked_transforms


def transforms(*wire: dict[str, Any]) -> tuple[shapes.RuleTransform, ...]:
    return checked_transforms(msgspec.convert(wire, tuple[shapes.RuleTransform, ...]))


def url(regex: str = "^/a/(.*)$", replace: str = "/$1") -> dict[str, Any]:
    return {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}}


def host(regex: str = r"^(.+)\.example\.com$", replace: str = "$1.internal") -> dict[str, Any]:
    return {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}}


def test_one_of_each_kind_is_kept_as_it_was_given() -> None:
    kept: Any = msgspec.to_builtins(transforms(host(), url()))
    assert [transform["Type"] for transform in kept] == ["host-header-rewrite", "url-rewrite"]
    assert kept[0]["HostHeaderRewriteConfig"]["Rewrites"] == ({"Regex": r"^(.+)\.example\.com$", "Replace": "$1.internal"},)
    assert kept[1]["UrlRewriteConfig"]["Rewrites"] == ({"Regex": "^/a/(.*)$", "Replace": "/$1"},)


@pytest.mark.parametrize(
    "wire",
    [
        [url(), url()],
        [{"Type": "url-rewrite"}],
        [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": []}}],
        [{**url(), "HostHeaderRewriteConfig": {"Rewrites": []}}],
        [{**host(), "Type": "url-rewrite"}],
        [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "a", "Replace": "b"}, {"Regex": "c", "Replace": "d"}]}}],
        [url(regex="")],
        [url(regex="x" * 1025)],
        [url(replace="x" * 1025)],
        [url(regex="(a")],
        [url(regex="(?=a)b")],
        [url(regex="(?>a)b")],
        [url(regex="a++")],
        [url(regex="(?x)a#b")],
        [url(regex="(?u)a")],
        [url(regex=r"\u0041")],
        [url(regex="a(?i-sx:b)")],
        [url(regex=r"\p{L}")],
        [url(regex="(*ACCEPT)")],
        [url(regex="a\nb")],
        [url(replace="/$2")],
        [url(replace="/$10")],
        [url(replace="/$x")],
        [url(replace="/a b")],
        [url(replace="/a\r\nX-Evil: 1")],
        [host(replace="a/b")],
    ],
)
def test_transforms_that_aws_refuses_are_refused(wire: list[dict[str, Any]]) -> None:
    with pytest.raises(Validation):
        transforms(*wire)
