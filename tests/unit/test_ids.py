"""Identifiers: their shape, their order, and that a stray one is recognised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues import ids
from queues.model import Queue

names = st.text(st.characters(codec="utf-8"), max_size=20)
#: A Redis score and a JSON number are doubles.
MAX_SEQUENCE = 2**53 - 1

sequences = st.integers(0, MAX_SEQUENCE)


@given(seq=sequences, project=names, queue=names)
def test_a_message_id_gives_its_sequence_back(seq: int, project: str, queue: str) -> None:
    tag = ids.queue_tag(project, queue)
    text = ids.message_id(seq, tag)
    assert len(text) == 22
    assert ids.parse_message_id(text, tag) == seq


@given(one=sequences, other=sequences)
def test_ids_of_one_queue_sort_like_their_sequences(one: int, other: int) -> None:
    tag = ids.queue_tag("alpha", "orders")
    in_order = ids.message_id(one, tag) < ids.message_id(other, tag)
    assert in_order == (one < other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("alpha", "orders"), ("beta", "orders")),
        (("alpha", "orders"), ("alpha", "jobs")),
        (("ab", "c"), ("a", "bc")),
        (("", "a"), ("a", "")),
        (("alpha", "orders"), ("Alpha", "orders")),
    ],
)
def test_an_id_of_one_queue_is_unknown_in_another(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    text = ids.message_id(7, ids.queue_tag(*one))
    assert ids.parse_message_id(text, ids.queue_tag(*other)) is None


def test_the_tag_is_eight_digits_for_any_project_name() -> None:
    for project in ("", "x" * 300, "\0", "é\U0001f600", "\udcff"):
        tag = ids.queue_tag(project, "q")
        assert len(tag) == 8
        assert int(tag, 16) >= 0


TAG = ids.queue_tag("alpha", "orders")
GOOD = ids.message_id(1, TAG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD[1:],
        "+" + GOOD[1:],
        "-" + GOOD[1:],
        "0x" + GOOD[2:],
        "_" + GOOD[1:],
        GOOD[:13] + "g" + TAG,
        GOOD[:13] + "A" + TAG,
        "\u0661" + GOOD[1:],
        "\uff10" + GOOD[1:],
        GOOD.upper() if GOOD.upper() != GOOD else "A" * 22,
    ],
)
def test_text_that_is_no_message_id_is_unknown(text: str) -> None:
    assert ids.parse_message_id(text, TAG) is None


def test_claim_ids_are_new_each_time_and_recognised() -> None:
    made = {ids.new_claim_id(1_700_000_000_000) for _ in range(1000)}
    assert len(made) == 1000
    assert all(ids.is_claim_id(claim_id) and len(claim_id) == 28 for claim_id in made)


def test_claim_ids_are_in_the_order_of_time() -> None:
    made = [ids.new_claim_id(now_ms) for now_ms in (0, 1, 1_700_000_000_000, 2**48 - 1)]
    assert made == sorted(made)


@pytest.mark.parametrize("text", ["a", "A-b_9", "x" * 64])
def test_what_may_be_a_claim_id(text: str) -> None:
    assert ids.is_claim_id(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a\n", "é", "a/b", "a,b", "\u0661"])
def test_what_can_be_no_claim_id(text: str) -> None:
    assert not ids.is_claim_id(text)


def test_versions_are_new_each_time_and_fit_a_double() -> None:
    made = {ids.new_version() for _ in range(1000)}
    assert len(made) == 1000
    assert all(0 <= version < 2**52 for version in made)
    assert Queue("q", b"{}", max(made), 0).version == float(max(made))


@given(created_ms=st.integers(0, 8_589_000_000_000))
def test_first_sequences_ascend_with_time_and_fit_a_double(created_ms: int) -> None:
    first = ids.first_sequence(created_ms)
    assert 0 <= first <= MAX_SEQUENCE
    assert ids.first_sequence(created_ms + 1000) == first + 2**20
    assert int(float(first)) == first
