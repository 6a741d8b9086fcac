"""Random histories: whatever happens in whatever order, a driver answers like the reference.

`--hypothesis-profile=thorough` tries many more of them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import product
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

from queues.model import Claim, DeadLetterPolicy, Idempotency, Message, NewMessage
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.backends import Backend
from tests.conformance.choices import (
    clients,
    graces_s,
    keys,
    leases_s,
    limits,
    new_messages,
    pick,
    picks,
    projects,
    queues,
    steps_ms,
    versions,
    without_sealed,
)
from tests.conformance.harness import Harness
from tests.conformance.reference import ReferenceStorage
from tests.conformance.twin import Call, Twin
from tests.conformance.world import World


class History(RuleBasedStateMachine):
    """One history, through two instances of the driver in turns, and the reference."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = MovableClock()
        self._harness = Harness(backend, folder)
        self._twin = Twin(ReferenceStorage(World()))
        self._made = 0
        self._claims: dict[tuple[str, str], list[str]] = {}
        self._drivers: list[Storage] = []
        self._sound = True

    @initialize()
    def open(self) -> None:
        self._drivers += [self._run(self._harness.another()) for _ in range(2)]
        for project, queue in (("alpha", "one"), ("alpha", "two"), ("beta", "one")):
            self._create(project, queue)

    def _run(self, awaitable: Any) -> Any:
        self._sound = False
        answer = self._runner.run(awaitable)
        self._sound = True
        return answer

    def _new_number(self) -> int:
        self._made += 1
        return self._made

    @property
    def _driver(self) -> Storage:
        return self._drivers[0]

    @property
    def _now_ms(self) -> int:
        return self._clock.now_ms()

    def _same(self, project: str, queue: str, call: Call) -> Any:
        return self._run(self._twin.ask(self._driver, project, queue, call))

    def _version(self, project: str, queue: str, kind: str) -> int:
        found = self._run(self._twin.reference.queues.get(project, queue))
        return found.version if found and kind == "current" else self._new_number()

    def _seqs(self, project: str, queue: str, numbers: list[int]) -> list[int]:
        known = self._twin.known(project, queue)
        return list({known[-1 - n % len(known)]: None for n in numbers} if known else [])

    @rule(
        project=projects,
        queue=queues,
        event=st.sampled_from(
            ["create", "create", "update", "update", "purge", "delete", "anew"]
        ),
        kind=versions,
    )
    def change_queue(self, project: str, queue: str, event: str, kind: str) -> None:
        now_ms = self._now_ms
        if event == "update":
            self._update(project, queue, self._version(project, queue, kind))
        if event == "purge":
            self._same(
                project, queue, lambda s, _: s.queues.purge(project, queue, now_ms=now_ms)
            )
        if event in {"delete", "anew"}:
            self._same(
                project, queue, lambda s, _: s.queues.delete(project, queue, now_ms=now_ms)
            )
        if event in {"create", "anew"}:
            self._create(project, queue)

    def _create(self, project: str, queue: str) -> None:
        version, now_ms = self._new_number(), self._now_ms
        self._same(
            project,
            queue,
            lambda s, _: s.queues.create(
                project, queue, metadata=b'{"v":%d}' % version, version=version, now_ms=now_ms
            ),
        )

    def _update(self, project: str, queue: str, expected: int) -> None:
        version = self._new_number()
        self._same(
            project,
            queue,
            lambda s, _: s.queues.update(
                project, queue, metadata=b"{}", expected_version=expected, version=version
            ),
        )

    @rule(project=projects, marker=st.sampled_from(["", "dead", "m", "two"]), limit=limits)
    def look_at_queues(self, project: str, marker: str, limit: int) -> None:
        self._same(project, "", lambda s, _: s.queues.list(project, marker=marker, limit=limit))
        self._same(project, "", lambda s, _: s.queues.count(project))

    @rule(project=projects, queue=queues, new=new_messages, kind=versions, key=keys("post"))
    def post(
        self,
        project: str,
        queue: str,
        new: list[NewMessage],
        kind: str,
        key: Idempotency | None,
    ) -> None:
        version, now_ms = self._version(project, queue, kind), self._now_ms
        if self._driver.capabilities.encrypts:
            new = without_sealed(new)
        self._run(
            self._twin.post(
                self._driver,
                project,
                queue,
                lambda s, _: s.messages.post(
                    project,
                    queue,
                    new,
                    queue_version=version,
                    idempotency=key if kind == "current" else None,
                    now_ms=now_ms,
                ),
            )
        )

    @rule(project=projects, queue=queues, new=new_messages)
    def post_to_a_queue_that_is_there(
        self, project: str, queue: str, new: list[NewMessage]
    ) -> None:
        self._create(project, queue)
        self.post(project, queue, new, "current", None)

    @rule(
        project=projects,
        queue=queues,
        marker=st.just([]) | picks,
        limit=limits,
        claimed=st.booleans(),
        delayed=st.booleans(),
        but_of=st.none() | clients,
    )
    def list_messages(
        self,
        project: str,
        queue: str,
        marker: list[int],
        limit: int,
        claimed: bool,
        delayed: bool,
        but_of: str | None,
    ) -> None:
        after, now_ms = max(self._seqs(project, queue, marker), default=0), self._now_ms
        self._same(
            project,
            queue,
            lambda s, seq: s.messages.list(
                project,
                queue,
                after_seq=seq(after),
                limit=limit,
                include_claimed=claimed,
                include_delayed=delayed,
                exclude_client_id=but_of,
                now_ms=now_ms,
            ),
        )

    @rule(project=projects, queue=queues, chosen=picks)
    def get_messages(self, project: str, queue: str, chosen: list[int]) -> None:
        seqs, now_ms = self._seqs(project, queue, chosen), self._now_ms
        self._same(
            project,
            queue,
            lambda s, seq: s.messages.get(
                project, queue, [seq(n) for n in seqs], now_ms=now_ms
            ),
        )

    @rule(project=projects, queue=queues, chosen=picks, under=st.none() | st.just([]) | picks)
    def delete_messages(
        self, project: str, queue: str, chosen: list[int], under: list[int] | None
    ) -> None:
        seqs, now_ms = self._seqs(project, queue, chosen), self._now_ms
        claim_ids = (
            None if under is None else [self._claim_id(project, queue, n) for n in under]
        )
        self._same(
            project,
            queue,
            lambda s, seq: s.messages.delete(
                project, queue, [seq(n) for n in seqs], claim_ids=claim_ids, now_ms=now_ms
            ),
        )

    @rule(project=projects, queue=queues, limit=limits)
    def pop(self, project: str, queue: str, limit: int) -> None:
        now_ms, may_extend = self._now_ms, self._driver.capabilities.encrypts

        async def pop(storage: Storage, _: object) -> list[Message]:
            popped = await storage.messages.pop(project, queue, limit=limit, now_ms=now_ms)
            if not may_extend:
                return list(popped)
            return [message._replace(ttl_s=0, expires_ms=0) for message in popped]

        self._same(project, queue, pop)

    @rule(
        project=projects,
        queue=queues,
        limit=limits,
        lease_s=leases_s,
        grace_s=graces_s,
        max_claims=st.sampled_from([None, None, 1, 2]),
        dead_ttl_s=st.sampled_from([None, 30, 300]),
        kind=versions,
        key=keys("claim"),
    )
    def claim(
        self,
        project: str,
        queue: str,
        limit: int,
        lease_s: int,
        grace_s: int,
        max_claims: int | None,
        dead_ttl_s: int | None,
        kind: str,
        key: Idempotency | None,
    ) -> None:
        number, now_ms = self._new_number(), self._now_ms
        version = self._version(project, queue, kind)
        grave = "dead" if queue != "dead" else "two"
        policy = max_claims and DeadLetterPolicy(grave, max_claims, dead_ttl_s, number)
        claim = self._same(
            project,
            queue,
            lambda s, _: s.claims.claim(
                project,
                queue,
                claim_id=f"claim-{number}",
                limit=limit,
                lease_ms=lease_s * 1000,
                grace_ms=grace_s * 1000,
                dead_letter=policy or None,
                queue_version=version,
                idempotency=key if kind == "current" else None,
                now_ms=now_ms,
            ),
        )
        if isinstance(claim, Claim):
            self._claims.setdefault((project, queue), ["never"]).append(claim.id)
        self._run(self._twin.meet_moved(self._driver, project, grave, now_ms))

    def _claim_id(self, project: str, queue: str, number: int) -> str:
        known = self._claims.get((project, queue)) or ["never"]
        return known[-1 - number % len(known)]

    @rule(project=projects, queue=queues, number=pick)
    def get_claim(self, project: str, queue: str, number: int) -> None:
        claim_id, now_ms = self._claim_id(project, queue, number), self._now_ms
        self._same(
            project, queue, lambda s, _: s.claims.get(project, queue, claim_id, now_ms=now_ms)
        )

    @rule(
        project=projects,
        queue=queues,
        number=pick,
        lease_s=leases_s,
        grace_s=graces_s,
        key=keys("renew"),
    )
    def renew(
        self,
        project: str,
        queue: str,
        number: int,
        lease_s: int,
        grace_s: int,
        key: Idempotency | None,
    ) -> None:
        claim_id, now_ms = self._claim_id(project, queue, number), self._now_ms
        self._same(
            project,
            queue,
            lambda s, _: s.claims.renew(
                project,
                queue,
                claim_id,
                lease_ms=lease_s * 1000,
                grace_ms=grace_s * 1000,
                idempotency=key,
                now_ms=now_ms,
            ),
        )

    @rule(project=projects, queue=queues, number=pick)
    def release(self, project: str, queue: str, number: int) -> None:
        claim_id, now_ms = self._claim_id(project, queue, number), self._now_ms
        self._same(
            project,
            queue,
            lambda s, _: s.claims.release(project, queue, claim_id, now_ms=now_ms),
        )

    @rule(step_ms=steps_ms)
    def pass_time(self, step_ms: int) -> None:
        self._clock.advance(ms=step_ms)

    @rule(limit=st.sampled_from([1, 3, 100]))
    def sweep(self, limit: int) -> None:
        assert self._run(self._driver.sweep(limit=limit, now_ms=self._now_ms)) >= 0

    @rule(event=st.sampled_from(["switch", "switch", "restart"]))
    def change_instance(self, event: str) -> None:
        self._drivers.reverse()
        if event == "restart":
            self._run(self._harness.close(self._drivers.pop()))
            self._drivers.append(self._run(self._harness.another()))

    @rule(project=projects, queue=queues)
    def look_at_everything(self, project: str, queue: str) -> None:
        now_ms = self._now_ms
        self._same(project, queue, lambda s, _: s.queues.get(project, queue))
        self._same(project, queue, lambda s, _: s.queues.stats(project, queue, now_ms=now_ms))
        self.list_messages(project, queue, [], 1000, True, True, None)

    # NOTE: the more rules, the more often: work has to outweigh looking and clearing away.
    post_often = post_more_often = post_to_a_queue_that_is_there
    claim_often = claim_more_often = claim_most_often = claim
    release_often = release
    pass_time_often = pass_time

    def teardown(self) -> None:
        try:
            for project, queue in product(("alpha", "beta"), ("one", "two", "dead")):
                if self._sound:
                    self.look_at_everything(project, queue)
        finally:
            self._run(self._harness.close_all())
            self._runner.close()


# NOTE: much longer than it takes, so that a failure has the time to be made small.
@pytest.mark.timeout(600)
def test_random_histories_get_the_right_answers(backend: Backend, tmp_path: Path) -> None:
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
    machine = partial(History, backend, tmp_path)
    run_state_machine_as_test(machine, settings=budget)  # type: ignore[arg-type]
