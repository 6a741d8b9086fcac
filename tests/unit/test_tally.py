"""Workers know who has fewer connections, of those that are alive."""

from __future__ import annotations

import os

from transport.tally import Tally

NOW_S = 1000.0


def test_who_has_more_than_another_knows_it() -> None:
    tally = Tally()
    few, many = tally.share(1), tally.share(2)
    few.say(3, NOW_S)
    many.say(4, NOW_S)
    assert many.is_above_another(NOW_S)
    assert not few.is_above_another(NOW_S)


def test_who_is_alone_or_has_as_many_waits_for_nobody() -> None:
    tally = Tally()
    one, two = tally.share(1), tally.share(2)
    one.say(3, NOW_S)
    assert not one.is_above_another(NOW_S)
    two.say(3, NOW_S)
    assert not one.is_above_another(NOW_S)


def test_who_has_been_silent_for_a_second_is_not_expected_to_accept() -> None:
    tally = Tally()
    one, silent = tally.share(1), tally.share(2)
    silent.say(0, NOW_S)
    one.say(3, NOW_S + 1)
    assert one.is_above_another(NOW_S + 1)
    assert not one.is_above_another(NOW_S + 1.01)


def test_who_leaves_is_not_expected_to_accept() -> None:
    tally = Tally()
    one, leaving = tally.share(1), tally.share(2)
    leaving.say(0, NOW_S)
    leaving.leave()
    one.say(3, NOW_S)
    assert not one.is_above_another(NOW_S)


def test_workers_see_it_across_processes() -> None:
    tally = Tally()
    mine, theirs = tally.share(1), tally.share(2)
    mine.say(3, NOW_S)
    child = os.fork()
    if not child:
        theirs.say(1, NOW_S)
        os._exit(0)
    os.waitpid(child, 0)
    assert mine.is_above_another(NOW_S)


def test_any_number_of_workers_has_a_share() -> None:
    tally = Tally()
    tally.share(10**6).say(1, NOW_S)
    assert not tally.share(10**6).is_above_another(NOW_S)
