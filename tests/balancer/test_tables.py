"""Rules that are looked up together: the same one is found as if they were compared one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.balancer.render.bodies import Bodies
from longshore.balancer.render.tables import Keys, Row, fits, keys_of, row_lines, tables
from tests.balancer.cases import front, rule
from tests.balancer.lab import hosts, paths
from tests.balancer.test_render import rendered

_paths = st.text(st.sampled_from("/ab"), max_size=5).map("/".__add__)
_path_values = st.lists(st.tuples(_paths, st.booleans()), min_size=1, max_size=3).map(
    lambda found: [path + "*" * ends for path, ends in found]
)
_hosts = st.lists(st.sampled_from(["a", "b", "com"]), min_size=1, max_size=4).map(".".join)
_host_values = st.lists(st.tuples(st.booleans(), _hosts), min_size=1, max_size=3).map(
    lambda found: ["*." * begins + host for begins, host in found]
)


def row_of(values: list[list[str]], is_path: bool) -> Row:
    found = [keys_of([paths(*one) if is_path else hosts(*one)]) for one in values]
    return Row("path" if is_path else "host", [(keys, str(number)) for number, keys in enumerate(found) if keys is not None])


def looked_up(row: Row, text: str) -> str | None:
    """As HAProxy does it: the exact key, then the longest partial one."""
    exact, partial = tables(row)
    if text in exact:
        return exact[text]
    if row.field == "path":
        parts = [text[:length] for length in range(len(text), 0, -1)]
    else:
        labels = text.split(".")[1:]
        parts = [".".join(labels[number:]) for number in range(len(labels))]
    return next((partial[part] for part in parts if part in partial), None)


@given(st.lists(_path_values, min_size=1, max_size=8), _paths)
def test_the_first_rule_that_holds_for_a_path_is_found(values: list[list[str]], path: str) -> None:
    def holds(value: str) -> bool:
        return path.startswith(value[:-1]) if value.endswith("*") else path == value

    expected = next((str(number) for number, one in enumerate(values) if any(map(holds, one))), None)
    assert looked_up(row_of(values, True), path) == expected


@given(st.lists(_host_values, min_size=1, max_size=8), _hosts)
def test_the_first_rule_that_holds_for_a_host_is_found(values: list[list[str]], host: str) -> None:
    def holds(value: str) -> bool:
        return host.endswith(value[1:]) if value.startswith("*") else host == value

    expected = next((str(number) for number, one in enumerate(values) if any(map(holds, one))), None)
    assert looked_up(row_of(values, False), host) == expected


def test_what_cannot_be_looked_up_is_not() -> None:
    assert keys_of([paths("/a*b")]) is None
    assert keys_of([paths("/a?")]) is None
    assert keys_of([paths("*")]) is None, "it holds for everything"
    assert keys_of([paths(regex=("^/a$",))]) is None
    assert keys_of([hosts("a.*.com")]) is None
    assert keys_of([hosts("*a.com")]) is None, "a wildcard that is not a whole label"
    assert keys_of([paths("/a"), hosts("a.com")]) is None
    assert keys_of([]) is None
    assert keys_of([paths(r"/a\*", "/b*")]) == Keys("path", frozenset({"/a*"}), frozenset({"/b"}))
    assert keys_of([hosts("A.Example.com", "*.X.com")]) == Keys("host", frozenset({"a.example.com"}), frozenset({"x.com"}))


def test_endings_of_too_many_lengths_are_no_row() -> None:
    row = row_of([["*.a"], ["*.a.b"], ["*.a.b.c"], ["*.a.b.c.d"]], False)
    longer = keys_of([hosts("*.a.b.c.d.e")])
    assert longer is not None and not fits(row, longer)
    same = keys_of([hosts("*.x.y")])
    assert same is not None and fits(row, same)


def test_a_row_is_one_lookup_and_ends_at_a_rule_of_another_kind() -> None:
    many = [rule(number, paths(f"/svc{number}/*")) for number in range(1, 9)]
    between = rule(20, hosts("a.com"), paths("/x"))
    later = [rule(number, hosts(f"h{number}.com")) for number in range(30, 34)]
    few = [rule(number, paths(f"/late{number}")) for number in range(40, 42)]
    text = rendered(front(rules=(*many, between, *later, *few))).text
    places = [text.index("map_beg"), text.index("r8_0"), text.index("map_str"), text.index("/late40'")]
    assert places == sorted(places)
    assert text.count("map_beg(") == 1 and text.count("map_str(") == 1 and "'/svc1/'" not in text


def test_a_table_holds_keys_and_decisions() -> None:
    bodies = Bodies("/b")
    (line,) = row_lines(row_of([["/a", "/b"], ["/a", "/c"]], True), bodies)
    (content,) = bodies.files.values()
    assert content == b"/a 0\n/b 0\n/c 1\n" and "path,map_str(" in line
