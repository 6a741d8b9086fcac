"""Mails to subscribers: what is written, and what a mail server may answer."""

from __future__ import annotations

import pytest

from queues.retries import Outcome, Verdict, verdict
from tests.clock import MovableClock
from tests.transport.mailbox import mailbox
from transport.outgoing.mails import Mail, Mails, MailServer

MAIL = Mail("ann@example.com", "", "News", '{"body": "gr\u00fc\u00dfe"}'.encode(), "id1")
SENDER = "nusku@example.com"


def through(port: int, clock: MovableClock, *, host: str = "127.0.0.1") -> Mails:
    return Mails(MailServer(host, port, "none", "", "", SENDER), clock, timeout_s=5)


async def test_a_mail_is_plain_text_from_whom_it_says(clock: MovableClock) -> None:
    async with mailbox() as box:
        assert await through(box.port, clock).send(MAIL) == Outcome(200)
        await through(box.port, clock).send(MAIL._replace(sender="Bob <bob@example.com>"))
    (first, second) = box.mails
    assert (first.sender, first.recipients) == (SENDER, ["ann@example.com"])
    assert first.message["from"] == SENDER
    assert second.message["from"] == "Bob <bob@example.com>"
    assert second.sender == SENDER, "whom the mail server tells of failures"
    assert (first.message["to"], first.message["subject"]) == ("ann@example.com", "News")
    assert first.message.get_content_type() == "text/plain"
    assert first.message.get_content().strip() == MAIL.body.decode()
    assert first.message["message-id"] == "<id1@nusku>"


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("RCPT", "550 unknown", Verdict.REFUSED),
        ("RCPT", "450 busy", Verdict.RETRY),
        ("MAIL", "553 no", Verdict.REFUSED),
        ("MAIL", "421 later", Verdict.RETRY),
        ("DATA", "554 spam", Verdict.REFUSED),
    ],
)
async def test_what_a_mail_server_refuses_for_good_is_not_tried_again(
    clock: MovableClock, command: str, code: str, expected: Verdict
) -> None:
    async with mailbox(**{command: code}) as box:
        outcome = await through(box.port, clock).send(MAIL)
    assert code[:3] in outcome.error
    assert verdict(outcome) is expected


async def test_a_mail_server_that_is_away_is_tried_again(clock: MovableClock) -> None:
    async with mailbox() as box:
        pass
    outcome = await through(box.port, clock).send(MAIL)
    assert verdict(outcome) is Verdict.RETRY


async def test_without_a_mail_server_nothing_is_tried(clock: MovableClock) -> None:
    outcome = await through(1, clock, host="").send(MAIL)
    assert outcome == Outcome(None, "this service sends no mail (smtp_host)", permanent=True)


@pytest.mark.parametrize("field", ["to", "sender", "subject"])
async def test_a_line_end_begins_no_header(clock: MovableClock, field: str) -> None:
    evil = MAIL._replace(**{field: "ann@example.com\r\nBcc: eve@example.com"})
    async with mailbox() as box:
        outcome = await through(box.port, clock).send(evil)
    assert box.mails == []
    assert verdict(outcome) is Verdict.REFUSED


@pytest.mark.parametrize("sender", ["group:;:-,", "a.<", "=@[1\u00e9", "\t.]="])
async def test_a_sender_that_cannot_be_parsed_is_a_dead_letter(
    clock: MovableClock, sender: str
) -> None:
    async with mailbox() as box:
        outcome = await through(box.port, clock).send(MAIL._replace(sender=sender))
    assert box.mails == []
    assert verdict(outcome) is Verdict.REFUSED


def test_nothing_shows_the_password() -> None:
    server = MailServer("host", 25, "tls", "me", "a secret", SENDER)
    assert "a secret" not in repr(server)
