"""Usage after anything whatever: no step of any history counts twice or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import pytest

from queues.model import Usage
from tests.conformance.handle import QueueHandle
from tests.conformance.project import ProjectHandle
from tests.factories import dead_letters, new_message

Step = Callable[[QueueHandle, Random], Awaitable[object]]


async def post(queue: QueueHandle, dice: Random) -> None:
    sizes = [dice.choice([0, 1, 50, 5000]) for _ in range(dice.randint(1, 4))]
    ttl_s, delay_s = dice.choice([60, 3600]), dice.choice([0, 0, 30])
    await queue.post(
        *(new_message(b"x" * size, ttl_s=ttl_s, delay_s=delay_s) for size in sizes)
    )


async def claim(queue: QueueHandle, dice: Random) -> None:
    policy = dice.choice([None, dead_letters("dead", max_claims=2)])
    await queue.claim(dice.randint(1, 4), lease_s=20, grace_s=0, dead_letter=policy)


async def delete(queue: QueueHandle, dice: Random) -> None:
    seqs = [message.seq for message in await queue.everything()]
    await queue.delete(*seqs[: dice.randint(0, 3)])


async def end_or_renew(queue: QueueHandle, dice: Random) -> None:
    claim_ids = {message.claim_id for message in await queue.everything()} - {None}
    for claim_id in sorted(str(claim_id) for claim_id in claim_ids):
        await dice.choice([queue.renew, queue.release])(claim_id)


async def create_anew(queue: QueueHandle, dice: Random) -> None:
    await queue.drop()
    await queue.create()


async def pass_time(queue: QueueHandle, dice: Random) -> None:
    queue.clock.advance(s=dice.choice([1, 10, 30]))


STEPS: dict[Step, int] = {
    post: 4,
    claim: 4,
    delete: 1,
    lambda queue, dice: queue.pop(dice.randint(1, 3)): 2,
    end_or_renew: 2,
    lambda queue, dice: queue.purge(): 1,
    create_anew: 1,
    pass_time: 3,
    lambda queue, dice: queue.sweep(limit=2): 1,
}


@pytest.mark.parametrize("seed", range(6))
async def test_after_a_sweep_usage_is_what_can_be_seen(
    twins: list[ProjectHandle], seed: int
) -> None:
    dice = Random(seed)
    queues = [await twin.queue(name) for twin in twins for name in ("one", "two", "dead")]
    for step in dice.choices(list(STEPS), weights=list(STEPS.values()), k=80):
        await step(dice.choice(queues), dice)
    await queues[0].sweep_all()
    left = [message for queue in queues[:3] for message in await queue.everything()]
    claimed = sum(message.claim_id is not None for message in left)
    size = sum(len(message.body) for message in left)
    assert await twins[1].usage() == Usage(3, len(left), size, claimed)
