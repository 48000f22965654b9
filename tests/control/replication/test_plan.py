"""What is carried, in which order, and when not: the plan by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.control.replication.plan import LONGEST_WAIT_S, Plan, Snapshot, children_first, plan, wait_s
from longshore.services.ecr.model import Image, Reference
from longshore.services.ecr.replication.model import Destination, Replication

TO = Destination("eu-west-1", "000000000000")


def image(digest: str, *below: str, layers: tuple[str, ...] = ()) -> Image:
    references = (*(Reference(each, 1, is_manifest=True) for each in below), *(Reference(each, 1) for each in layers))
    return Image(repository="r", digest=digest, media_type="", manifest_size=1, size=1, pushed_at=0.0, references=references)


def snapshot(*images: Image, retry_at: float | None = None, refusal: str = "", layers: frozenset[str] = frozenset()) -> Snapshot:
    replication = Replication("r", "root", TO, "IN_PROGRESS", ("1", "2"), 0.0, retry_at=retry_at)
    tags = {"1": "root", "2": "another"}
    return Snapshot(100.0, replication, {each.digest: each for each in images}, tags, layers, refusal, configured=True)


#: for each image the ones below it, by number; cycles included, though digests cannot make one
graphs = st.lists(st.sets(st.integers(0, 9), max_size=5), min_size=1, max_size=10)


@given(graphs)
def test_each_image_below_the_root_is_carried_once_and_after_those_it_consists_of(graph: list[set[int]]) -> None:
    acyclic = {
        str(number): image(str(number), *(str(each) for each in sorted(below) if number < each < len(graph)))
        for number, below in enumerate(graph)
    }
    order = children_first(acyclic, acyclic["0"])
    assert len(set(order)) == len(order)
    assert order[-1] == "0"
    for digest in order:
        assert all(order.index(reference.digest) < order.index(digest) for reference in acyclic[digest].references)


@given(graphs)
def test_even_a_circle_is_walked_to_its_end(graph: list[set[int]]) -> None:
    images = {str(number): image(str(number), *map(str, sorted(below))) for number, below in enumerate(graph)}
    order = children_first(images, images["0"])
    assert "0" in order
    assert len(set(order)) == len(order) <= len(graph)


def test_what_is_gone_is_not_carried() -> None:
    assert plan(snapshot()) == Plan()


def test_only_tags_that_still_stand_for_the_image_go_along() -> None:
    assert plan(snapshot(image("root"))) == Plan(carry=("root",), tags=("1",))


def test_an_image_that_failed_waits_its_time_whatever_else_is_wrong() -> None:
    assert plan(snapshot(image("root"), retry_at=130.0, refusal="AccessDenied")) == Plan(wait_s=30.0)


def test_a_refusal_comes_before_what_is_lacking() -> None:
    lacking = image("root", layers=("layer",))
    assert plan(snapshot(lacking, refusal="AccessDenied")) == Plan(refused="AccessDenied")
    assert plan(snapshot(lacking)) == Plan(lacking="LayersNotFound")
    assert plan(snapshot(lacking, layers=frozenset({"layer"}))).carry == ("root",)


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_and_have_an_end(attempts: int, fraction: float) -> None:
    assert 0 < wait_s(attempts, fraction) <= LONGEST_WAIT_S * 1.2
    assert wait_s(attempts, fraction) <= wait_s(attempts + 2, fraction) * 1.001
