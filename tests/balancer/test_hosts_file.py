"""What stands in /etc/hosts beside our own lines is left as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.balancer.hosts_file import with_block

OURS = {"web.elb.longshore.internal": "127.0.2.1"}
LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029#")), max_size=5)


@given(LINES)
def test_a_block_that_goes_leaves_what_was_there(lines: list[str]) -> None:
    before = "".join(f"{line}\n" for line in lines).encode()
    assert with_block(with_block(before, "/data", OURS), "/data", {}) == before


def test_each_installation_has_a_block_of_its_own() -> None:
    both = with_block(with_block(b"127.0.0.1 localhost", "/a", OURS), "/b", OURS)
    assert both.startswith(b"127.0.0.1 localhost\n# begin Longshore /a\n127.0.2.1 web.elb.longshore.internal\n# end Longshore /a\n")
    assert with_block(both, "/b", {}).count(b"web.elb") == 1


def test_a_block_without_an_end_takes_nothing_with_it() -> None:
    assert with_block(b"# begin Longshore /a\n10.0.0.1 theirs\n", "/a", {}) == b"10.0.0.1 theirs\n"
