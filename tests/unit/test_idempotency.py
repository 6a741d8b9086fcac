"""What makes two requests under one key the same request."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from queues.limits import Limits
from queues.operations.idempotency import remembered

LIMITS = Limits(idempotency_window_s=60)
parts = st.recursive(
    st.text() | st.binary() | st.integers() | st.none(),
    lambda inner: st.lists(inner).map(tuple),
    max_leaves=6,
)


def test_without_a_key_nothing_is_remembered() -> None:
    assert remembered(None, ("post",), LIMITS) is None


def test_the_window_is_the_setting_in_milliseconds() -> None:
    found = remembered("k", ("post",), LIMITS)
    assert found is not None
    assert (found.key, found.window_ms) == ("k", 60_000)


@given(parts, parts)
def test_requests_have_one_fingerprint_exactly_when_they_are_equal(
    one: object, other: object
) -> None:
    first, second = remembered("k", one, LIMITS), remembered("k", other, LIMITS)
    assert (first == second) is (one == other)


def test_another_process_makes_the_same_fingerprint() -> None:
    request = ("post", "q", ((b"\xff{}", 0, 60, 0),), None)
    code = (
        "from queues.limits import Limits\n"
        "from queues.operations.idempotency import remembered\n"
        f"print(remembered('k', {request!r}, Limits()).fingerprint)"
    )
    printed = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True)
    found = remembered("k", request, LIMITS)
    assert found is not None
    assert printed.stdout.strip() == found.fingerprint
