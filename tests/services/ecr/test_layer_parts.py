"""Where parts of a layer belong: examples, and laws over whatever a client and a crash may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.layers.model import LARGEST_LAYER, LARGEST_PART, MIB, MOST_PARTS, SMALLEST_PART, LayerUpload
from longshore.services.ecr.layers.parts import Part, PartRefused, TooMuch, accept

UPLOAD = LayerUpload(upload_id="u", repository="r", blob_upload_id="b", touched_at=0.0)


def part(first: int, size: int) -> Part:
    return Part(first, first + size - 1, size)


def begun(first: int, *, parts: int = 1, too_small: bool = False) -> LayerUpload:
    return LayerUpload(
        upload_id="u", repository="r", blob_upload_id="b", touched_at=0.0, parts=parts, part_begins=first, too_small=too_small
    )


@pytest.mark.parametrize(
    ("upload", "received", "sent", "skip"),
    [
        (UPLOAD, 0, part(0, 10), 0),  # the first
        (begun(0), 10 * MIB, part(10 * MIB, 10), 0),  # the next
        (begun(0), 10, part(0, 10), 10),  # again, all of it had come
        (begun(0), 4, part(0, 10), 4),  # again, some of it had come
        (begun(0), 0, part(0, 10), 0),  # again, nothing had come
        (begun(MIB, parts=2), MIB + 5, part(MIB, 10), 5),
        (UPLOAD, 0, part(0, LARGEST_PART), 0),
    ],
)
def test_a_part_that_follows_on_or_comes_again_is_taken(upload: LayerUpload, received: int, sent: Part, skip: int) -> None:
    accepted = accept(upload, received, sent, 7.0)
    assert accepted.skip == skip
    assert (accepted.upload.part_begins, accepted.upload.touched_at) == (sent.first, 7.0)


@pytest.mark.parametrize(
    ("upload", "received", "sent"),
    [
        (UPLOAD, 0, part(1, 10)),  # a gap at the beginning
        (begun(0), 10, part(11, 10)),  # a gap
        (begun(0), 10, part(9, 10)),  # overlaps
        (begun(0), 10, part(0, 9)),  # again, but shorter than what had come
        (begun(10, parts=2), 20, part(0, 10)),  # an earlier one again
        (UPLOAD, 0, Part(0, 9, 9)),  # not as long as it says
        (UPLOAD, 0, Part(0, 0, 0)),
        (UPLOAD, 0, Part(9, 0, 10)),
        (UPLOAD, 0, part(0, LARGEST_PART + 1)),
    ],
)
def test_any_other_part_is_refused(upload: LayerUpload, received: int, sent: Part) -> None:
    with pytest.raises(PartRefused):
        accept(upload, received, sent, 7.0)


def test_only_a_part_that_another_one_follows_can_be_too_small() -> None:
    small = accept(UPLOAD, 0, part(0, SMALLEST_PART - 1), 0.0).upload
    assert not small.too_small
    assert accept(small, SMALLEST_PART - 1, part(SMALLEST_PART - 1, 1), 0.0).upload.too_small
    large = accept(UPLOAD, 0, part(0, SMALLEST_PART), 0.0).upload
    assert not accept(large, SMALLEST_PART, part(SMALLEST_PART, 1), 0.0).upload.too_small


def test_a_layer_has_at_most_so_many_parts_and_bytes() -> None:
    with pytest.raises(TooMuch):
        accept(begun(0, parts=MOST_PARTS), 10, part(10, 1), 0.0)
    assert accept(begun(0, parts=MOST_PARTS), 10, part(0, 10), 0.0).skip == 10  # the last one may come again
    with pytest.raises(TooMuch):
        accept(begun(0), LARGEST_LAYER - 1, part(LARGEST_LAYER - 1, 2), 0.0)
    accept(begun(0), LARGEST_LAYER - 2, part(LARGEST_LAYER - 2, 2), 0.0)


@given(st.lists(st.tuples(st.integers(1, 40), st.lists(st.integers(0, 40), max_size=3)), min_size=1, max_size=12))
def test_parts_cut_short_and_sent_again_make_the_same_bytes(parts: list[tuple[int, list[int]]]) -> None:
    """Each part may be cut short several times (its answer lost, the server killed) before it comes whole."""
    upload, stored, whole = UPLOAD, bytearray(), bytearray()
    for number, (size, cuts) in enumerate(parts):
        content = bytes((number + at) % 251 for at in range(size))
        first = len(whole)
        whole += content
        for cut in (*cuts, size):
            accepted = accept(upload, len(stored), part(first, size), 0.0)
            upload = accepted.upload
            stored += content[accepted.skip : max(accepted.skip, cut)]
    assert stored == whole
    assert upload.parts == len(parts)
