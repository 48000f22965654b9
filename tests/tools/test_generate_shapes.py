"""The generator of the shapes, and that what is checked in is what it writes."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import generate_shapes
from tools.generate_shapes import SAME_BUT_SWIFT, Service, Types, attribute, module_text, python_pattern


def test_the_shapes_checked_in_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_shapes.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("wire_name", "expected"),
    [("loadBalancerArn", "load_balancer_arn"), ("VpcId", "vpc_id"), ("CidrIpv6", "cidr_ipv6"), ("from", "from_")],
)
def test_members_are_spelled_as_botocore_spells_them(wire_name: str, expected: str) -> None:
    assert attribute(wire_name) == expected


@pytest.mark.parametrize(
    ("pattern", "matches", "refuses"),
    [
        ("[a-z]+", ["abc"], ["abc\n", "1abc", "abc1", ""]),
        ("a|b", ["a", "b"], ["ab", "xb"]),
        (r"[\w+=,.@-]+", ["a_1@x"], ["ä", "a b"]),
        (r"\d+", ["12"], ["١٢"]),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", ["", "Zoë 1/2", "中 ٣"], ["a!", "a\tb"]),
        (r"[\u0020-\u00FF]+", ["é"], ["€"]),
    ],
)
def test_java_patterns_match_whole_values_in_python(pattern: str, matches: list[str], refuses: list[str]) -> None:
    compiled = re.compile(python_pattern(pattern))
    assert all(compiled.search(text) for text in matches)
    assert not any(compiled.search(text) for text in refuses)


@pytest.mark.parametrize("pattern", sorted(SAME_BUT_SWIFT))
@given(text=st.text("ab1*._-/ A\n", max_size=9))
def test_swift_patterns_match_what_aws_own_match(pattern: str, text: str) -> None:
    own, swift = re.compile(rf"(?a:\A(?:{pattern})\Z)"), re.compile(python_pattern(pattern))
    assert bool(own.search(text)) == bool(swift.search(text))


def every_pattern() -> list[str]:
    sources = (path.read_text() for path in Path(generate_shapes.__file__).parents[1].glob("src/longshore/aws/shapes/*.py"))
    return sorted({ast.literal_eval(text) for source in sources for text in re.findall(r"\bpattern=(\"(?:[^\"\\\\]|\\\\.)*\")", source)})


def test_no_pattern_takes_long_over_what_does_not_match() -> None:
    patterns = every_pattern()
    assert len(patterns) > 10
    began = time.process_time()
    for pattern in patterns:
        compiled = re.compile(pattern)
        for text in ("a" * 3000 + "!", "a*" * 1500 + "!", "a-" * 1500, "a/" * 1500 + "!", "1" * 3000 + " !", "/a" * 1500 + "!"):
            compiled.search(text)
    assert time.process_time() - began < 5


def test_a_pattern_without_counterpart_is_an_error() -> None:
    with pytest.raises(re.error):
        python_pattern(r"\p{IsGreek}+")


def model(**metadata: object) -> dict[str, object]:
    return {
        "metadata": {"protocol": "json", "serviceId": "T", "apiVersion": "1", "endpointPrefix": "t", "serviceFullName": "T"} | metadata,
        "operations": {"Make": {"input": {"shape": "Wish"}, "output": {"shape": "Thing"}}, "Break": {"input": {"shape": "Thing"}}},
        "shapes": {
            "Wish": {
                "type": "structure",
                "required": ["Name"],
                "members": {"Name": {"shape": "Name"}, "Sizes": {"shape": "Sizes"}, "Colour": {"shape": "Colour"}},
            },
            "Thing": {"type": "structure", "required": ["Name"], "members": {"Name": {"shape": "Name"}, "Parts": {"shape": "Things"}}},
            "Things": {"type": "list", "member": {"shape": "Thing"}},
            "Name": {"type": "string", "min": 2, "max": 3, "pattern": "[a-z]+"},
            "Sizes": {"type": "list", "max": 2, "member": {"shape": "Size"}},
            "Size": {"type": "integer", "min": 0},
            "Colour": {"type": "string", "enum": ["red", "green"]},
        },
    }


def test_inputs_are_constrained_and_outputs_loose() -> None:
    service = Service("thing", model(), ["Make"])
    types = Types(service)
    wish, thing = types.structure("Wish"), types.structure("Thing")
    assert "    name: Name\n" in wish
    assert "    sizes: Annotated[tuple[Size, ...], Meta(max_length=2)] | None = None\n" in wish
    assert "    name: str | None = None\n    parts: tuple[Thing, ...] | None = None\n" in thing
    assert types.aliases["Colour"] == "Literal['red', 'green']"
    assert types.aliases["Size"] == "Annotated[int, Meta(ge=0, le=2147483647)]"


def test_only_what_is_served_is_generated_and_every_name_is_known() -> None:
    text = module_text(Service("thing", model(), ["Break"]))
    assert "class Wish(" not in text
    assert re.search("KNOWN_OPERATIONS.*'Break',\\s*'Make'", text, re.DOTALL)


def test_an_operation_that_the_model_lacks_is_named() -> None:
    with pytest.raises(SystemExit, match="thing: the model has no Mend"):
        Service("thing", model(), ["Mend"])


def test_of_several_protocols_those_that_are_spoken_are_taken() -> None:
    assert Service("thing", model(protocols=["smithy-rpc-v2-cbor", "json", "query"]), ["Make"]).protocols == ["json", "query"]
    with pytest.raises(SystemExit, match="none of its protocols is served: rest-xml"):
        Service("thing", model(protocol="rest-xml"), ["Make"])
