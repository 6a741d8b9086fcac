"""Mails: one for one notification, as plain text, through one mail server."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate
from typing import NamedTuple

from queues.clock import Clock
from queues.retries import Outcome

#: Mails are written in threads, as Python's client for mail servers waits.
_WRITERS = 16

_NO_SERVER = "this service sends no mail (smtp_host)"


class MailServer(NamedTuple):
    """How to reach the mail server. `tls` is `none`, `starttls` or `tls`."""

    host: str
    port: int
    tls: str
    user: str
    password: str
    sender: str

    def __repr__(self) -> str:
        # SECURITY: a tuple would show the password.
        return f"MailServer({self.host!r})"


class Mail(NamedTuple):
    """What is to be written."""

    to: str
    sender: str
    subject: str
    body: bytes
    message_id: str


class Mails:
    """Sends mails."""

    def __init__(self, server: MailServer, clock: Clock, *, timeout_s: float) -> None:
        """Send through `server`; without a host nothing is sent."""
        self._server = server
        self._clock = clock
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(_WRITERS, "nusku-mail")

    async def send(self, mail: Mail) -> Outcome:
        """Send a mail, and return what became of it. Never raises.

        200 means that the mail server has taken it.
        """
        if not self._server.host:
            return Outcome(None, _NO_SERVER, permanent=True)
        loop = asyncio.get_running_loop()
        try:
            written = self._written(mail)
            async with asyncio.timeout(self._timeout_s):
                await loop.run_in_executor(self._threads, self._hand_over, written, mail.to)
        except TimeoutError:
            return Outcome(None, f"the mail server took longer than {self._timeout_s:g} s")
        except smtplib.SMTPRecipientsRefused as ex:
            ((code, _),) = ex.recipients.values()
            return _refused(code, "the mail server refuses the recipient")
        except smtplib.SMTPResponseException as ex:
            return _refused(ex.smtp_code, "the mail server refuses the mail")
        except (smtplib.SMTPException, OSError) as ex:
            return Outcome(None, f"the mail server cannot be reached: {type(ex).__name__}")
        except (ValueError, TypeError, AttributeError, IndexError):
            # NOTE: what Python's parser of addresses raises depends on where it stumbles.
            return Outcome(None, "this is no mail that can be written", permanent=True)
        return Outcome(200)

    def _written(self, mail: Mail) -> EmailMessage:
        """Return the mail. SECURITY: a line end in a header is refused here once more.

        Raises: ValueError.
        """
        message = EmailMessage()
        message["To"] = mail.to
        message["From"] = mail.sender or self._server.sender
        message["Subject"] = mail.subject
        message["Date"] = formatdate(self._clock.now_ms() / 1000)
        message["Message-ID"] = f"<{mail.message_id}@nusku>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body.decode())
        return message

    def _hand_over(self, message: EmailMessage, to: str) -> None:
        server = self._server
        connect: Callable[..., smtplib.SMTP] = smtplib.SMTP
        options = {}
        if server.tls == "tls":
            connect, options = smtplib.SMTP_SSL, {"context": ssl.create_default_context()}
        with connect(server.host, server.port, timeout=self._timeout_s, **options) as client:
            if server.tls == "starttls":
                client.starttls(context=ssl.create_default_context())
            if server.user:
                client.login(server.user, server.password)
            client.send_message(message, from_addr=server.sender, to_addrs=[to])


def _refused(code: int, text: str) -> Outcome:
    """Return an answer of SMTP: 4xx means later, 5xx never."""
    return Outcome(None, f"{text} ({code})", permanent=code >= 500)
