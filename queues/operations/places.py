"""A place where requests wait for one topic: who sits there, and who is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from queues.operations.alarm import Alarm


class Seat:
    """One that waits. It is *rung* when something happened since its last look."""

    __slots__ = ("_rest", "rung")

    def __init__(self) -> None:
        """Sit down, about to look."""
        self.rung = False
        self._rest: asyncio.Future[None] | None = None

    @property
    def is_resting(self) -> bool:
        """Say whether it only waits: neither looks now, nor is about to."""
        return self._rest is not None and not self.rung

    def ring(self) -> None:
        """Make it look, or look again if it is looking now."""
        self.rung = True
        self.dismiss()

    def dismiss(self) -> None:
        """End its rest."""
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    async def rest(self, until_s: float) -> bool:
        """Wait until rung or dismissed, or for that time of the loop; say if it was rung."""
        if not self.rung:
            loop = asyncio.get_running_loop()
            self._rest = loop.create_future()
            timer = loop.call_at(until_s, self.dismiss)
            try:
                await self._rest
            finally:
                timer.cancel()
                self._rest = None
        return self.rung


#: Who was woken and found nothing is followed by one more look after this.
REMIND_S = 1.0


class Place:
    """Those who wait for one topic.

    *Readers* only look, so all of them are woken by every hint. *Takers* take something away:
    of them a hint wakes one, the first in the order in which they came that is resting. If
    none is, one that is looking will look again. So after every hint somebody begins to look,
    and whoever leaves while rung passes that on.
    """

    def __init__(self, watched: asyncio.Task[None], alarm: Alarm | None) -> None:
        """Begin empty; `watched` ends when hints about the topic arrive."""
        self.watched = watched
        self.closing: asyncio.TimerHandle | None = None
        self._alarm = alarm
        self._readers: dict[Seat, None] = {}
        self._takers: dict[Seat, None] = {}
        self._is_hinted = False
        self._reminder: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether nobody waits here."""
        return not (self._takers or self._readers)

    def sit(self, *, takes: bool) -> Seat:
        """Return a seat for a taker or a reader."""
        if self.closing is not None:
            self.closing.cancel()
            self.closing = None
        seat = Seat()
        (self._takers if takes else self._readers)[seat] = None
        return seat

    def leave(self, seat: Seat) -> None:
        """Give up a seat; what it was rung for is for the next taker."""
        self._readers.pop(seat, None)
        if seat in self._takers:
            del self._takers[seat]
            if seat.rung:
                self.call_taker()

    def hint(self) -> None:
        """Let those look who should."""
        self._is_hinted = True
        for seat in self._readers:
            seat.ring()
        self.call_taker()

    def found_nothing(self) -> None:
        """Let a taker look once more, a little later, as one that was woken found nothing.

        NOTE: a store may let somebody go empty-handed who lost against many others, though
        there is something left (`storage_drivers/mongodb/leasing.py`). Once for each hint,
        so it ends.
        """
        if self._is_hinted and self._reminder is None:
            self._is_hinted = False
            loop = asyncio.get_running_loop()
            self._reminder = loop.call_later(REMIND_S, self._remind)

    def _remind(self) -> None:
        self._reminder = None
        self.call_taker()

    def call_taker(self, *, after: Seat | None = None) -> None:
        """Let one taker look; with `after`, one that came later than that one."""
        looking = None
        for seat in self._later(after):
            if seat.is_resting:
                seat.ring()
                return
            if looking is None and not seat.rung:
                looking = seat
        if looking is not None:
            looking.ring()

    def _later(self, after: Seat | None) -> Iterator[Seat]:
        seats = iter(self._takers)
        if after is not None:
            for seat in seats:
                if seat is after:
                    break
        return seats

    def look_ahead(self, since_ms: int) -> None:
        """Wake by itself for what becomes due after `since_ms`, when somebody looked."""
        if self._alarm is not None:
            self._alarm.set_anew(since_ms)

    def close(self) -> None:
        """Let everybody go, and ring no more by itself."""
        if self._alarm is not None:
            self._alarm.stop()
        if self._reminder is not None:
            self._reminder.cancel()
        for seat in (*self._takers, *self._readers):
            seat.dismiss()
