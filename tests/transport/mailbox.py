"""A mail server on a real socket that takes, or refuses, whatever it is given."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import NamedTuple


class Envelope(NamedTuple):
    """A mail as it was handed over."""

    sender: str
    recipients: list[str]
    message: EmailMessage


class Mailbox:
    """Notes mails. `answers` says something else than 250 to a command."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.mails: list[Envelope] = []
        self.port = 0
        self._answers = answers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipients = "", []
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            command, _, argument = line.partition(" ")
            command = command.upper()
            answer = self._answers.get(command, "250 fine")
            if command == "MAIL":
                sender, recipients = _address(argument), []
            elif command == "RCPT":
                recipients.append(_address(argument))
            elif command == "DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(Envelope(sender, recipients, _parsed(data)))
            elif command == "QUIT":
                answer = "221 bye"
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
        writer.close()


def _address(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data[:-5], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@asynccontextmanager
async def mailbox(**answers: str) -> AsyncIterator[Mailbox]:
    """Run a mail server on the loopback."""
    box = Mailbox(answers)
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()
