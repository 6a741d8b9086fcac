"""Redrives: dead letters go back, none is lost and none is doubled, whoever dies meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from queues import redrives
from queues.errors import Forbidden, InvalidRequest, RedriveNotFound, RedriveRunning
from queues.identity import Grant, Identity
from queues.limits import Limits
from queues.model import Media
from queues.operations import Operations
from queues.operations.claims import Wanted as ClaimWanted
from queues.operations.dead_letters import Letter
from queues.operations.messages import Draft
from queues.operations.redriving import Redriver
from queues.project_limits import ProjectLimits
from queues.redrives import Redrive, RedriveState, Wanted
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.transport.faults import FaultyStorage

PROJECT, DEAD = "alpha", "graveyard"
IDENTITY = Identity(PROJECT)
SOURCES = ("orders", "bills")


class Server:
    """One server process: operations on a store that can be made to die at any call."""

    def __init__(
        self, storage: Storage, clock: MovableClock, limits: ProjectLimits | None = None
    ) -> None:
        self.storage = FaultyStorage(storage)
        self.clock = clock
        rules = limits or ProjectLimits()
        self.operations = Operations(self.storage, Limits(), clock, project_limits=rules)
        self.letters = self.operations.dead_letters
        self._redriver = Redriver(
            self.storage,
            Limits(),
            clock,
            messages=self.operations.messages,
            agenda=self.operations.agenda,
            to_json=lambda body, _: body,
        )

    async def bury(self, source: str, *bodies: object) -> None:
        """Let messages die in a queue whose dead letters go to the graveyard."""
        metadata = {"_dead_letter_queue": DEAD, "_max_claim_count": 1}
        await self.operations.queues.create(PROJECT, source, metadata)
        drafts = [Draft(json.dumps(body).encode(), Media.JSON, None, None) for body in bodies]
        await self.operations.messages.post(
            PROJECT,
            source,
            drafts,
            client_id="poster",
            document_bytes=100,
            idempotency_key=None,
        )
        await self.die(source)

    async def die(self, source: str) -> None:
        """Claim what is ready, let the leases end, and find it exhausted."""
        for _ in range(2):
            while await self.operations.claims.create(
                PROJECT, source, ClaimWanted(60, 60, 20, None)
            ):
                pass
            self.clock.advance(s=61)

    async def run(self) -> int:
        """Do everything that is due now, and say how many appointments there were."""
        done = 0
        while taken := await self.storage.records.take(
            limit=10, lease_ms=30_000, now_ms=self.clock.now_ms()
        ):
            for one in taken:
                await self._redriver.handle(one)
            done += len(taken)
        return done

    async def bodies(self, queue: str) -> list[Any]:
        page = await self.storage.messages.list(
            PROJECT,
            queue,
            after_seq=0,
            limit=1000,
            include_claimed=True,
            include_delayed=True,
            exclude_client_id=None,
            now_ms=self.clock.now_ms(),
        )
        return [json.loads(message.body) for message in page.messages]

    async def dead(self) -> Sequence[Letter]:
        return (await self.letters.list(PROJECT, DEAD, marker="", limit=20)).letters

    async def ended(self) -> Redrive:
        return await self.letters.get(PROJECT, DEAD)


@pytest.fixture
def server(storage: Storage, clock: MovableClock) -> Server:
    return Server(storage, clock)


async def test_each_letter_goes_back_to_where_it_came_from(server: Server) -> None:
    await server.bury("orders", 1, 2)
    await server.bury("bills", 3)
    begun = await server.letters.start(IDENTITY, DEAD, Wanted())
    assert begun.state is RedriveState.RUNNING
    await server.run()
    assert await server.bodies("orders") == [1, 2]
    assert await server.bodies("bills") == [3]
    assert await server.bodies(DEAD) == []
    ended = await server.ended()
    assert (ended.state, ended.moved, ended.refused, ended.skipped) == ("completed", 3, 0, 0)
    assert ended.ended_ms == server.clock.now_ms()


async def test_letters_can_go_to_one_other_queue(server: Server) -> None:
    await server.bury("orders", *range(45))
    await server.letters.start(IDENTITY, DEAD, Wanted(to="repaired"))
    await server.run()
    assert await server.bodies("repaired") == list(range(45))
    assert await server.bodies("orders") == []
    assert (await server.ended()).moved == 45


async def test_a_filter_leaves_the_others_as_they_are(server: Server) -> None:
    await server.bury(
        "orders", {"kind": "a"}, {"kind": "b"}, "no object", {"kind": "a", "n": 2}
    )
    await server.bury("bills", {"kind": "a", "n": 3})
    before = {letter.message.seq: letter for letter in await server.dead()}
    wanted = Wanted(source="orders", reason="max_claim_count", body={"kind": ["a"]})
    await server.letters.start(IDENTITY, DEAD, wanted)
    await server.run()
    assert await server.bodies("orders") == [{"kind": "a"}, {"kind": "a", "n": 2}]
    left = await server.dead()
    assert [json.loads(letter.message.body) for letter in left] == [
        {"kind": "b"},
        "no object",
        {"kind": "a", "n": 3},
    ]
    assert all(letter == before[letter.message.seq] for letter in left)
    assert (await server.ended()).skipped == 3


async def test_what_was_posted_to_the_graveyard_by_hand_stays(server: Server) -> None:
    await server.bury("orders", 1)
    draft = Draft(b'"by hand"', Media.JSON, None, None)
    await server.operations.messages.post(
        PROJECT, DEAD, [draft], client_id="x", document_bytes=9, idempotency_key=None
    )
    assert [letter.origin.queue for letter in await server.dead()] == ["orders"]
    await server.letters.start(IDENTITY, DEAD, Wanted(to="orders"))
    await server.run()
    assert await server.bodies(DEAD) == ["by hand"]


async def test_letters_that_die_again_do_not_go_round_in_one_redrive(server: Server) -> None:
    await server.bury("orders", 1)
    await server.letters.start(IDENTITY, DEAD, Wanted(rate_per_s=1))
    await server.run()
    await server.die("orders")
    server.clock.advance(s=10)
    await server.run()
    assert await server.bodies(DEAD) == [1]
    assert (await server.ended()).moved == 1


async def test_the_history_of_a_letter_goes_with_it(server: Server) -> None:
    await server.bury("orders", 1)
    (first,) = await server.dead()
    assert first.rounds == []
    for death in range(1, 4):
        await server.letters.start(IDENTITY, DEAD, Wanted())
        await server.run()
        await server.die("orders")
        (letter,) = await server.dead()
        assert len(letter.rounds) == death
        assert letter.rounds[0]["moved_ms"] == first.origin.moved_ms
        assert [one["queue"] for one in letter.rounds] == ["orders"] * death
        assert [one["claim_count"] for one in letter.rounds] == [1] * death
        times = [one["redriven_ms"] for one in letter.rounds]
        assert times == sorted(times)


async def test_a_rate_is_kept(server: Server) -> None:
    await server.bury("orders", *range(10))
    await server.letters.start(IDENTITY, DEAD, Wanted(to="repaired", rate_per_s=4))
    await server.run()
    assert len(await server.bodies("repaired")) == 4
    server.clock.advance(ms=999)
    assert await server.run() == 0
    server.clock.advance(ms=1)
    await server.run()
    assert len(await server.bodies("repaired")) == 8
    server.clock.advance(s=1)
    await server.run()
    assert await server.bodies("repaired") == list(range(10))


async def test_a_limit_is_kept(server: Server) -> None:
    await server.bury("orders", *range(30))
    await server.letters.start(IDENTITY, DEAD, Wanted(to="repaired", limit=25))
    await server.run()
    assert await server.bodies("repaired") == list(range(25))
    assert await server.bodies(DEAD) == list(range(25, 30))


async def test_a_cancelled_redrive_moves_no_more(server: Server) -> None:
    await server.bury("orders", *range(10))
    await server.letters.start(IDENTITY, DEAD, Wanted(to="repaired", rate_per_s=3))
    await server.run()
    assert (await server.letters.cancel(PROJECT, DEAD)).state is RedriveState.CANCELLING
    await server.run()
    server.clock.advance(s=60)
    assert await server.run() == 0
    assert await server.bodies("repaired") == [0, 1, 2]
    assert len(await server.dead()) == 7
    assert (await server.ended()).state is RedriveState.CANCELLED
    assert (await server.letters.cancel(PROJECT, DEAD)).state is RedriveState.CANCELLED


async def test_a_queue_has_one_redrive_at_a_time(server: Server) -> None:
    await server.bury("orders", 1, 2)
    await server.letters.start(IDENTITY, DEAD, Wanted(rate_per_s=1))
    with pytest.raises(RedriveRunning):
        await server.letters.start(IDENTITY, DEAD, Wanted())
    await server.letters.cancel(PROJECT, DEAD)
    with pytest.raises(RedriveRunning):
        await server.letters.start(IDENTITY, DEAD, Wanted())
    await server.run()
    await server.letters.start(IDENTITY, DEAD, Wanted())
    await server.run()
    assert sorted(await server.bodies("orders")) == [1, 2]


async def test_a_queue_without_redrive_or_letters(server: Server) -> None:
    with pytest.raises(RedriveNotFound):
        await server.letters.get(PROJECT, DEAD)
    with pytest.raises(RedriveNotFound):
        await server.letters.cancel(PROJECT, DEAD)
    await server.letters.start(IDENTITY, DEAD, Wanted())
    await server.run()
    assert (await server.ended()).state is RedriveState.COMPLETED
    with pytest.raises(RedriveNotFound):
        await server.letters.get("beta", DEAD)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(to="no/name"),
        Wanted(source=""),
        Wanted(reason="bad luck"),
        Wanted(body={}),
        Wanted(body={"a": 1}),
        Wanted(rate_per_s=0),
        Wanted(rate_per_s=-1.5),
        Wanted(rate_per_s=5e-324),
        Wanted(rate_per_s=1e-9),
        Wanted(rate_per_s=1e9),
        Wanted(limit=0),
    ],
)
def test_what_cannot_be_done_is_refused(wanted: Wanted) -> None:
    with pytest.raises(InvalidRequest):
        redrives.check(wanted)


async def test_whoever_may_not_post_everywhere_names_a_queue(server: Server) -> None:
    grant = Grant(("g",), frozenset({"messages:create", "redrives:create"}), ("orders",), 2**62)
    narrow = IDENTITY._replace(grant=grant)
    for wanted in (Wanted(), Wanted(to="bills")):
        with pytest.raises(Forbidden):
            await server.letters.start(narrow, DEAD, wanted)
    await server.letters.start(narrow, DEAD, Wanted(to="orders"))


async def test_letters_in_somebody_elses_hands_stay_there(server: Server) -> None:
    await server.bury("orders", 1, 2)
    view = await server.operations.claims.create(PROJECT, DEAD, ClaimWanted(600, 60, 1, None))
    assert view is not None
    await server.letters.start(IDENTITY, DEAD, Wanted())
    await server.run()
    assert await server.bodies("orders") == [2]
    assert await server.bodies(DEAD) == [1]


async def test_a_target_that_takes_no_such_message_keeps_none_from_the_graveyard(
    server: Server,
) -> None:
    await server.bury("orders", "x" * 200, "short")
    small = {"_max_messages_post_size": 100}
    await server.operations.queues.create(PROJECT, "small", small)
    await server.letters.start(IDENTITY, DEAD, Wanted(to="small"))
    await server.run()
    assert await server.bodies("small") == ["short"]
    assert await server.bodies(DEAD) == ["x" * 200]
    ended = await server.ended()
    assert (ended.state, ended.moved, ended.refused) == ("completed", 1, 1)
    (letter,) = await server.dead()
    assert letter.message.claim_id is None


async def test_a_full_quota_makes_it_wait_and_loses_nothing(
    storage: Storage, clock: MovableClock
) -> None:
    server = Server(storage, clock)
    await server.bury("orders", *range(5))
    tight = Server(storage, clock, ProjectLimits(messages=7))
    await tight.letters.start(IDENTITY, DEAD, Wanted(to="repaired"))
    await tight.run()
    moved = await tight.bodies("repaired")
    assert (await tight.ended()).state is RedriveState.RUNNING
    assert moved + sorted(await tight.bodies(DEAD)) == list(range(5))
    await server.operations.quotas.override(PROJECT, {"messages": 0})
    clock.advance(s=10)
    freed = Server(storage, clock)
    await freed.run()
    assert await freed.bodies("repaired") == list(range(5))


async def test_it_survives_a_crash_after_any_call(
    harness: Harness, clock: MovableClock
) -> None:
    """Kill the process after its first call to the store, after its second, and so on."""
    storage = await harness.another()
    survivor = Server(storage, clock)
    queue_numbers = iter(range(1000))
    for survived in range(1, 200):
        number = next(queue_numbers)
        source, target = f"orders-{number}", f"repaired-{number}"
        await survivor.bury(source, 1, 2, 3)
        await survivor.letters.start(IDENTITY, DEAD, Wanted(to=target))
        if not await _dies_after(survived, storage, clock):
            break
        clock.advance(s=31)
        await survivor.run()
        assert await survivor.bodies(target) == [1, 2, 3], f"died after {survived} calls"
        assert await survivor.bodies(DEAD) == []
        ended = await survivor.ended()
        assert (ended.state, ended.moved, ended.refused) == ("completed", 3, 0)
        assert ended.skipped == 0
    assert survived > 8


async def _dies_after(calls: int, storage: Storage, clock: MovableClock) -> bool:
    """Run a process that is killed after so many calls; say if it came to that."""
    mortal, left = Server(storage, clock), calls

    class Killed(BaseException):
        pass

    async def count(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    mortal.storage.after = count
    try:
        await mortal.run()
    except Killed:
        return True
    return False


def test_a_redrive_is_the_same_after_it_was_stored() -> None:
    stored = Redrive(
        "id", Wanted(to="a", body={"x": [1]}, rate_per_s=0.5), RedriveState.RUNNING, 1, 9, 5
    )
    stored = replace(stored, held=(3, 4), moved=2)
    assert redrives.decode(redrives.encode(stored)) == stored
