"""Finding the end of an answer without parsing more of it."""

from __future__ import annotations

import pytest

from bench.client import Client, LoadFailed, answer_bytes, expect

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
_EMPTY = b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"


@pytest.mark.parametrize(
    "answer", [_ANSWER, _ANSWER.replace(b"Content-L", b"content-l"), _EMPTY]
)
def test_an_answer_ends_where_its_head_says(answer: bytes) -> None:
    assert answer_bytes(answer) == len(answer)


def test_a_head_that_is_not_complete_has_no_end_yet() -> None:
    assert answer_bytes(_ANSWER[:30]) == -1


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(LoadFailed, match="without a length"):
        answer_bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("step", [1, 7, len(_ANSWER)])
def test_an_answer_in_pieces_is_handed_on_once_and_whole(step: int) -> None:
    client, answers = Client(), list[bytes]()
    client.answered = answers.append
    for _ in range(2):
        for at in range(0, len(_ANSWER), step):
            client.data_received(_ANSWER[at : at + step])
    assert answers == [_ANSWER, _ANSWER]


def test_an_answer_that_nobody_asked_for_is_a_failure() -> None:
    client, failures = Client(), list[Exception]()
    client.failed = failures.append
    client.data_received(_ANSWER + _ANSWER)
    assert [type(ex) for ex in failures] == [LoadFailed]


def test_another_status_is_a_failure_that_shows_the_answer() -> None:
    expect(_ANSWER, b"200")
    with pytest.raises(LoadFailed, match=r"wanted 201.*hello"):
        expect(_ANSWER, b"201")
