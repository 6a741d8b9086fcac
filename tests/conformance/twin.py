"""Two storages that get the same calls, and must give the same answers.

Sequences are the store's own: they are matched by position, and must ascend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from queues.errors import NuskuError
from queues.model import Claim, Message, MessagePage, Stats
from queues.storage import Storage

#: A call, given the storage to make it on and the sequences as that storage knows them.
Call = Callable[[Storage, Callable[[int], int]], Awaitable[Any]]


class Twin:
    """The reference and a driver. Sequences are those of the reference, on the outside."""

    def __init__(self, reference: Storage) -> None:
        self.reference = reference
        self._to_driver: dict[int, int] = {0: 0}
        self._to_reference: dict[tuple[str, str, int], int] = {}
        self._queue_seqs: dict[tuple[str, str], list[int]] = {}

    def known(self, project: str, queue: str) -> list[int]:
        """Return all sequences that the queue has ever had, through all its lives."""
        return self._queue_seqs.setdefault((project, queue), [])

    async def ask(self, driver: Storage, project: str, queue: str, call: Call) -> Any:
        """Make the call on both and return the answer, which must be the same."""
        expected = await _outcome(call(self.reference, lambda seq: seq))
        actual = await _outcome(call(driver, self._to_driver.__getitem__))
        answered, right = self._translated(actual, project, queue), _plain(expected)
        assert answered == right
        return expected

    async def post(self, driver: Storage, project: str, queue: str, call: Call) -> None:
        """Make a call that returns sequences on both, and match the new ones."""
        expected = await _outcome(call(self.reference, lambda seq: seq))
        actual = await _outcome(call(driver, self._to_driver.__getitem__))
        if isinstance(expected, type):
            assert actual == expected
            return
        assert not isinstance(actual, type), f"{actual} instead of {expected}"
        self._match(project, queue, list(expected), list(actual))

    async def meet_moved(self, driver: Storage, project: str, queue: str, now_ms: int) -> None:
        """Match what came into a dead-letter queue in the last call."""
        last = max(self.known(project, queue), default=0)
        expected = await _everything(self.reference, project, queue, last, now_ms)
        after = self._to_driver[last]
        actual = await _everything(driver, project, queue, after, now_ms)
        self._match(project, queue, expected, actual)

    def _match(self, project: str, queue: str, expected: list[int], actual: list[int]) -> None:
        assert len(actual) == len(expected)
        known = self.known(project, queue)
        for reference_seq, driver_seq in zip(expected, actual, strict=True):
            if reference_seq in self._to_driver:
                assert self._to_driver[reference_seq] == driver_seq
                continue
            assert not known or self._to_driver[known[-1]] < driver_seq, "not ascending"
            known.append(reference_seq)
            self._to_driver[reference_seq] = driver_seq
            self._to_reference[project, queue, driver_seq] = reference_seq

    def _translated(self, answer: Any, project: str, queue: str) -> Any:
        """Return the driver's answer with the sequences of the reference."""

        def seq(number: int, of: str = queue) -> object:
            return self._to_reference.get((project, of, number), f"unknown {number}")

        def message(found: Message) -> Any:
            origin = found.dead_letter
            if origin is not None:
                origin = origin._replace(seq=seq(origin.seq, origin.queue))  # type: ignore[arg-type]
            return found._replace(
                seq=seq(found.seq),  # type: ignore[arg-type]
                dead_letter=origin,
                number=0,
                # The reference does not encrypt.
                sealed=False,
            )

        return _plain(answer, message, seq)


def _plain(
    answer: Any,
    message: Callable[[Message], Any] = lambda found: found._replace(number=0),
    seq: Callable[[int], object] = lambda number: number,
) -> Any:
    """Return an answer as lists and dictionaries, which compare whatever their types."""
    match answer:
        case Message():
            return message(answer)
        case Claim():
            return answer._replace(messages=[message(found) for found in answer.messages])
        case MessagePage():
            next_seq = answer.next_seq if answer.next_seq is None else seq(answer.next_seq)
            return [message(found) for found in answer.messages], next_seq
        case Stats():
            ends = (answer.oldest, answer.newest)
            counts = (answer.claimed, answer.total)
            return counts, [end and message(end) for end in ends]
        case list() | tuple() if answer and isinstance(answer[0], Message):
            return [message(found) for found in answer]
        case dict():
            return {seq(number): refusal for number, refusal in answer.items()}
        case list() | tuple():
            return list(answer)
    return answer


async def _outcome(call: Awaitable[Any]) -> Any:
    """Return the answer, or the class of the error."""
    try:
        return await call
    except NuskuError as ex:
        return type(ex)


async def _everything(
    storage: Storage, project: str, queue: str, after_seq: int, now_ms: int
) -> list[int]:
    page = await storage.messages.list(
        project,
        queue,
        after_seq=after_seq,
        limit=1000,
        include_claimed=True,
        include_delayed=True,
        exclude_client_id=None,
        now_ms=now_ms,
    )
    return [message.seq for message in page.messages]
