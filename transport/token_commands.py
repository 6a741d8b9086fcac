"""`nusku token`: make, list and revoke application tokens from the command line.

Works on the store of the settings directly, so whoever may read its settings and keys needs
no token of anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from queues.clock import SystemClock
from queues.config import Settings
from queues.identity import OPERATIONS, Identity
from queues.operations import Operations
from queues.operations.tokens import TokenRequest
from transport import composition
from transport.identity.application_tokens import ApplicationTokens
from transport.items import timestamp

_PAGE = 10


class _Desk(NamedTuple):
    """What the commands work with."""

    operations: Operations
    signer: ApplicationTokens


def add_commands(commands: Any, *, run: Callable[[argparse.Namespace], None]) -> None:
    """Add `token` and what is below it to the command line, to be run by `run`."""
    token = commands.add_parser("token", help="make, list and revoke application tokens")
    verbs = token.add_subparsers(dest="verb", required=True)
    _add_create(verbs.add_parser("create", help="make a token and print it"))
    listing = verbs.add_parser("list", help="print the live tokens, one JSON object a line")
    revoke = verbs.add_parser("revoke", help="end a token at once on every server")
    revoke.add_argument("token_id", help="as `create` and `list` show it")
    for parser in verbs.choices.values():
        parser.add_argument("--project", required=True, help="whose token it is")
        parser.add_argument("--storage", metavar="URL", help="where the server stores")
        parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    listing.set_defaults(act=_list)
    revoke.set_defaults(act=_revoke)
    token.set_defaults(run_command=run)


def run(flags: argparse.Namespace, settings: Settings) -> None:
    """Do what the command says.

    Raises: ConfigurationError, StorageUnavailable, InvalidRequest, CredentialNotFound.
    """
    asyncio.run(_run(flags, settings))


async def _run(flags: argparse.Namespace, settings: Settings) -> None:
    async with _desk(settings) as desk:
        await flags.act(desk, flags)


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[_Desk]:
    store, clock = composition.storage(settings), SystemClock()
    operations = composition.operations(settings, store, clock)
    signer = composition.application_tokens(settings, operations, clock)
    await store.open()
    try:
        yield _Desk(operations, signer)
    finally:
        await store.close()


def _add_create(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--operation",
        action="append",
        required=True,
        metavar="NAME",
        help=f"{', '.join(OPERATIONS)}, or a rule of the policy; repeat for more",
    )
    add("--queue", action="append", metavar="PATTERN", help="for which queues (default: *)")
    add("--ttl", type=int, metavar="SECONDS", help="how long it lives")
    add("--client-id", metavar="UUID", help="the only Client-ID that it may be used with")
    add("--name", help="what to call it in listings")
    add("--user", default="operator", help="in whose name (default: operator)")
    add("--role", action="append", default=[], help="a role for the policy; repeat for more")
    parser.set_defaults(act=_create)


async def _create(desk: _Desk, flags: argparse.Namespace) -> None:
    desk.signer.check_can_sign()
    roles = frozenset(role.lower() for role in flags.role)
    request = TokenRequest(
        flags.operation, flags.queue or ["*"], flags.ttl, flags.client_id, flags.name
    )
    maker = Identity(flags.project, flags.user, roles)
    token = desk.signer.sign(await desk.operations.tokens.create(maker, request))
    sys.stdout.write(f"{token}\n")


async def _list(desk: _Desk, flags: argparse.Namespace) -> None:
    marker: str | None = ""
    while marker is not None:
        entries, marker = await desk.operations.tokens.list(
            Identity(flags.project), marker=marker, limit=_PAGE
        )
        for entry in entries:
            expires = timestamp(entry.expires_ms)
            shown = {"id": entry.id, "expires": expires, **entry.document}
            sys.stdout.write(f"{json.dumps(shown)}\n")


async def _revoke(desk: _Desk, flags: argparse.Namespace) -> None:
    await desk.operations.tokens.revoke(Identity(flags.project), flags.token_id)
