"""Reserved attributes: checks, defaults and the policy that they make."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues import metadata
from queues.errors import InvalidRequest
from queues.limits import Limits

LIMITS = Limits()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

GOOD: list[tuple[str, object]] = [
    ("_max_messages_post_size", 1),
    ("_max_messages_post_size", 262_144),
    ("_default_message_ttl", 60),
    ("_default_message_ttl", 1_209_600),
    ("_default_message_delay", 0),
    ("_default_message_delay", 900),
    ("_dead_letter_queue", "dead"),
    ("_dead_letter_queue_messages_ttl", 60),
    ("_max_claim_count", 0),
    ("_max_claim_count", 5),
    ("_enable_encrypt_messages", False),
    ("_flavor", "gold"),
    ("_retry_policy", {}),
    ("_retry_policy", {"minimum_delay": 5, "maximum_delay": 30}),
    ("_retry_policy", {"retry_backoff_function": "exponential"}),
    ("unreserved", {"anything": [1, None]}),
    ("_unknown", "kept"),
]
BAD: list[tuple[str, object]] = [
    ("_max_messages_post_size", 0),
    ("_max_messages_post_size", 262_145),
    ("_max_messages_post_size", "1"),
    ("_default_message_ttl", 59),
    ("_default_message_ttl", 1_209_601),
    ("_default_message_ttl", 60.0),
    ("_default_message_ttl", True),
    ("_default_message_delay", -1),
    ("_default_message_delay", 901),
    ("_dead_letter_queue", 7),
    ("_dead_letter_queue", "a/b"),
    ("_dead_letter_queue", "this"),
    ("_dead_letter_queue_messages_ttl", 59),
    ("_max_claim_count", -1),
    ("_max_claim_count", 2**31),
    ("_max_claim_count", "5"),
    ("_enable_encrypt_messages", "no"),
    ("_flavor", 1),
    ("_retry_policy", []),
    ("_retry_policy", {"minimum_delay": "5"}),
    ("_retry_policy", {"minimum_delay": 25, "maximum_delay": 30}),
    ("_retry_policy", {"retry_backoff_function": "random"}),
    ("_retry_policy", {"ignore_subscription_override": "yes"}),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_attribute_is_accepted(name: str, value: object) -> None:
    metadata.check("this", {name: value}, LIMITS)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_attribute_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=name):
        metadata.check("this", {name: value}, LIMITS)


def test_encryption_is_accepted_where_the_store_encrypts() -> None:
    wanted = {"_enable_encrypt_messages": True}
    metadata.check("this", wanted, LIMITS, encrypts=True)
    with pytest.raises(InvalidRequest, match=r"_enable_encrypt_messages.* keys_file"):
        metadata.check("this", wanted, LIMITS)


def test_null_is_accepted_everywhere_and_means_unset() -> None:
    unset = dict.fromkeys(metadata.reserved_defaults(LIMITS))
    metadata.check("this", {**unset, "_flavor": None, "_retry_policy": None}, LIMITS)
    assert metadata.policy(unset, 1, LIMITS) == metadata.policy({}, 1, LIMITS)


@given(st.sampled_from(sorted({name for name, _ in GOOD})), json_values)
def test_no_value_gets_past_the_checks_with_another_error(name: str, value: object) -> None:
    try:
        metadata.check("this", {name: value}, LIMITS)
    except InvalidRequest:
        return
    metadata.policy({name: value}, 1, LIMITS)
    metadata.with_defaults({name: value}, LIMITS)


@given(st.dictionaries(st.text(), json_values))
def test_what_is_encoded_decodes_to_the_same(document: dict[str, object]) -> None:
    assert metadata.decode(metadata.encode(document, LIMITS)) == document


def test_metadata_may_be_as_large_as_the_limit_and_not_a_byte_larger() -> None:
    limit = LIMITS.max_queue_metadata_bytes
    room = limit - len(json.dumps({"k": ""}, separators=(",", ":")))
    assert len(metadata.encode({"k": "x" * room}, LIMITS)) == limit
    with pytest.raises(InvalidRequest, match=str(limit)):
        metadata.encode({"k": "x" * (room + 1)}, LIMITS)
    with pytest.raises(InvalidRequest):
        metadata.encode({"k": "é" * (room // 2 + 1)}, LIMITS)


def test_unset_attributes_are_shown_with_their_defaults() -> None:
    shown = metadata.with_defaults({"mine": 0, "_default_message_ttl": 0}, LIMITS)
    assert shown == {"mine": 0, **metadata.reserved_defaults(LIMITS)}


def test_the_policy_is_what_the_metadata_says() -> None:
    made = metadata.policy(
        {
            "_default_message_ttl": 120,
            "_default_message_delay": 7,
            "_max_messages_post_size": 10,
            "_dead_letter_queue": "dead",
            "_dead_letter_queue_messages_ttl": 99,
            "_enable_encrypt_messages": True,
            "_max_claim_count": 3,
        },
        5,
        LIMITS,
        subscribed=True,
    )
    assert made == metadata.QueuePolicy(5, 120, 7, 10, "dead", 99, 3, True, True)


def test_a_queue_cannot_allow_more_than_the_service_allows_today() -> None:
    smaller = Limits(max_messages_post_bytes=100)
    assert metadata.policy({"_max_messages_post_size": 200}, 1, smaller).max_post_bytes == 100
