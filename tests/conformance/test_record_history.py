"""Random histories of records: a driver answers like the reference, whatever happened before.

What is taken is up to the driver, within the contract: the reference takes the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from queues.errors import IdempotencyKeyReused, QueueChanged
from queues.model import RecordKind
from queues.storage import outbox_key
from tests.clock import MovableClock
from tests.conformance.backends import Backend
from tests.conformance.choices import keys as idempotency_keys
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.conformance.records import LATEST_MS, RecordsHandle
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import Place, World
from tests.factories import new_message

# NOTE: few values, and most of them alike, or a history never meets the same record twice.
places = st.builds(
    Place,
    project=st.sampled_from(["alpha"] * 8 + ["beta"]),
    kind=st.sampled_from([RecordKind.OUTBOX] * 8 + [RecordKind.CURSOR]),
    scope=st.sampled_from(["one"] * 6 + ["two", ""]),
    key=st.sampled_from(["a"] * 6 + ["b", "b", "a\0", "é", "\ud800", "\U0001f600"]),
)
documents = st.sampled_from([b"", b"1", b"\0", b"long" * 10_000])
due_in_ms = st.sampled_from([None, None, -10_000, 0, 500, 5000, 20_000])
expires_in_ms = st.sampled_from([None, None, 1, 5000, 5000, 20_000, 60_000])
versions = st.sampled_from(["current"] * 4 + ["older", "any"])
steps_ms = st.sampled_from([1, 500, 5000, 5000, 10_000, 20_000])
LEASE_S = 20


class RecordHistory(RuleBasedStateMachine):
    """One history, through two instances of the driver in turns, and the reference."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = MovableClock()
        self._harness = Harness(backend, folder)
        self._world = World()
        self._right = RecordsHandle(ReferenceStorage(self._world), self._clock)
        self._drivers: list[RecordsHandle] = []
        self._posted: set[int] = set()
        self._sound = True

    @initialize()
    def open(self) -> None:
        for _ in range(2):
            storage = self._run(self._harness.another())
            self._drivers.append(RecordsHandle(storage, self._clock))
        self._run(self._queue().create())

    def _run(self, awaitable: Any) -> Any:
        self._sound = False
        answer = self._runner.run(awaitable)
        self._sound = True
        return answer

    def _queue(self) -> QueueHandle:
        return QueueHandle(self._drivers[0].storage, self._clock, queue="one")

    def _at(self, place: Place) -> tuple[RecordsHandle, RecordsHandle]:
        """Return handles of the place in the driver and in the reference."""
        driver, right = (
            handle.on(project=place.project, kind=place.kind, scope=place.scope)
            for handle in (self._drivers[0], self._right)
        )
        return driver, right

    def _moment(self, in_ms: int | None) -> int | None:
        return None if in_ms is None else self._clock.now_ms() + in_ms

    @rule(place=places, document=documents, due=due_in_ms, end=expires_in_ms)
    def create(self, place: Place, document: bytes, due: int | None, end: int | None) -> None:
        driver, right = self._at(place)
        record = driver.made(
            place.key, document, due_ms=self._moment(due), expires_ms=self._moment(end)
        )
        assert self._run(driver.create(record)) == self._run(right.create(record))

    @rule(place=places, of=versions, document=documents, due=due_in_ms, end=expires_in_ms)
    def replace(
        self, place: Place, of: str, document: bytes, due: int | None, end: int | None
    ) -> None:
        driver, right = self._at(place)
        record = driver.made(
            place.key,
            document,
            version=self._version(place, of),
            due_ms=self._moment(due),
            expires_ms=self._moment(end),
        )
        assert self._run(driver.replace(record)) == self._run(right.replace(record))

    @rule(place=places, of=versions)
    def delete(self, place: Place, of: str) -> None:
        driver, right = self._at(place)
        version = None if of == "any" else self._version(place, of)
        answer = self._run(driver.delete(place.key, version=version))
        assert answer == self._run(right.delete(place.key, version=version))

    def _version(self, place: Place, of: str) -> int:
        found = self._world.records.get(place)
        if found is None:
            return 1
        return found.version if of == "current" else found.version - 1

    @rule(place=places)
    def get(self, place: Place) -> None:
        driver, right = self._at(place)
        assert self._run(driver.get(place.key)) == self._run(right.get(place.key))

    @rule(
        place=places,
        prefix=st.sampled_from(["", "", "", "a", "a\0", "é", "0"]),
        marker=st.sampled_from(["", "", "a", "a\0", "z"]),
        limit=st.sampled_from([1, 2, 100]),
    )
    def look_at_a_page(self, place: Place, prefix: str, marker: str, limit: int) -> None:
        driver, right = self._at(place)
        found = self._run(driver.page(prefix=prefix, marker=marker, limit=limit))
        assert found == self._run(right.page(prefix=prefix, marker=marker, limit=limit))

    @rule(limit=st.sampled_from([1, 2, 10]))
    def take(self, limit: int) -> None:
        for project, record in self._run(self._drivers[0].take(limit, lease_s=LEASE_S)):
            place = Place(project, record.kind, record.scope, record.key)
            taken = self._world.take(place, LEASE_S * 1000, self._clock.now_ms())
            assert record == taken

    @rule(limit=st.sampled_from([1, 10]))
    def take_all_that_is_due(self, limit: int) -> None:
        start_ms, due = self._clock.now_ms(), None
        while due != [] and self._clock.now_ms() <= start_ms + LATEST_MS:
            self.take(limit)
            now_ms = self._clock.now_ms()
            due = [
                place
                for place, record in self._world.records.items()
                if record.due_ms is not None
                and record.due_ms <= start_ms
                and self._world.record(place, now_ms)
            ]
            self._clock.advance(ms=20)
        assert not due

    @rule(
        current=st.sampled_from([True] * 4 + [False]),
        due=due_in_ms,
        key=idempotency_keys("post"),
    )
    def post(self, current: bool, due: int | None, key: Any) -> None:
        place = Place("alpha", RecordKind.OUTBOX, "one", "")
        driver, right = self._at(place)
        made = driver.made(place.key, b"{}", due_ms=self._moment(due))
        queue = self._queue().on(version=1 if current else 2)
        posting = queue.post(new_message(), idempotency=key if current else None, outbox=made)
        with suppress(QueueChanged, IdempotencyKeyReused):
            (seq,) = self._run(posting)
            if seq not in self._posted:
                assert self._run(right.create(made._replace(key=outbox_key(seq))))
            self._posted.add(seq)

    @rule(event=st.sampled_from(["purge", "anew", "drop", "create"]))
    def change_queue(self, event: str) -> None:
        queue = self._queue()
        if event == "purge":
            self._run(queue.purge())
        if event in {"anew", "drop"}:
            self._run(queue.drop())
        if event in {"anew", "create"}:
            self._run(queue.create())

    @rule(step_ms=steps_ms)
    def pass_time(self, step_ms: int) -> None:
        self._clock.advance(ms=step_ms)

    @rule(place=places, of=st.sampled_from(["due", "end"]), early_ms=st.sampled_from([0, 0, 1]))
    def come_to_a_moment(self, place: Place, of: str, early_ms: int) -> None:
        """Let a record become due, or expire, now or in a millisecond."""
        found = self._world.records.get(place)
        moment = found and (found.due_ms if of == "due" else found.expires_ms)
        if moment is not None:
            self._clock.advance(ms=max(0, moment - early_ms - self._clock.now_ms()))

    @rule(limit=st.sampled_from([1, 3, 100]))
    def sweep(self, limit: int) -> None:
        assert self._run(self._queue().sweep(limit)) >= 0

    @rule(event=st.sampled_from(["switch", "switch", "restart"]))
    def change_instance(self, event: str) -> None:
        self._drivers.reverse()
        if event == "restart":
            self._run(self._harness.close(self._drivers.pop().storage))
            storage = self._run(self._harness.another())
            self._drivers.append(RecordsHandle(storage, self._clock))

    # NOTE: the more rules, the more often.
    create_often = create_more_often = create
    replace_often = replace_more_often = replace
    delete_often = delete
    take_often = take
    come_to_a_moment_often = come_to_a_moment

    def teardown(self) -> None:
        try:
            for place in {*self._world.records} if self._sound else ():
                self.get(place)
                self.look_at_a_page(place, "", "", 1000)
        finally:
            self._run(self._harness.close_all())
            self._runner.close()


# NOTE: much longer than it takes, so that a failure has the time to be made small.
@pytest.mark.timeout(600)
def test_random_histories_of_records_get_the_right_answers(
    backend: Backend, tmp_path: Path
) -> None:
    profile = settings()
    examples = max(1, round(profile.max_examples * backend.history_share))
    budget = settings(
        profile,
        max_examples=examples,
        stateful_step_count=80,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    machine = partial(RecordHistory, backend, tmp_path)
    run_state_machine_as_test(machine, settings=budget)  # type: ignore[arg-type]
