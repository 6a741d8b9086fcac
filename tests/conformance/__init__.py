"""The executable form of `queues/storage.py`: what every driver has to pass."""

import pytest

pytest.register_assert_rewrite("tests.conformance.twin", "tests.conformance.handle")
