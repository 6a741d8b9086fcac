"""Who acts, and what their credential narrows it down to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from queues.errors import InvalidRequest

#: What a pattern for queue names consists of: their characters, and `*` for any of them.
PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,64}", re.ASCII)

#: Short names of operations that belong together; each stands for rules of the policy.
OPERATIONS: dict[str, frozenset[str]] = {
    "post": frozenset({"messages:create"}),
    "list": frozenset({"queues:get_all", "messages:get_all", "messages:get"}),
    "claim": frozenset({"claims:create", "claims:get", "claims:update", "claims:delete"}),
    "cursor": frozenset(
        {
            "cursors:create",
            "cursors:get_all",
            "cursors:get",
            "cursors:update",
            "cursors:delete",
        }
    ),
    "delete": frozenset({"messages:delete", "messages:delete_all"}),
    "stats": frozenset({"queues:get", "queues:stats"}),
    "manage": frozenset(
        {"queues:create", "queues:get", "queues:update", "queues:delete", "queues:purge"}
    ),
    "redrive": frozenset(
        {"dead_letters:get_all", "redrives:create", "redrives:get", "redrives:delete"}
    ),
    "subscribe": frozenset(
        {
            "subscription:get_all",
            "subscription:create",
            "subscription:get",
            "subscription:update",
            "subscription:delete",
            "subscription:confirm",
            "subscription:get_deliveries",
            "subscription:replay",
        }
    ),
    "share": frozenset({"queues:share", "shares:get_all", "shares:delete"}),
    "delegate": frozenset({"tokens:create", "tokens:get_all", "tokens:delete"}),
    "wait": frozenset({"signals:create", "signals:get_all", "signals:get", "signals:delete"}),
    "signal": frozenset({"signals:signal"}),
}


class Grant(NamedTuple):
    """What a credential allows at the most, whatever the roles of its maker.

    `rules` are names of policy rules, `queues` patterns for names of queues and signals, in
    which `*` stands for any characters. With `client_id` the bearer acts under that client
    id alone. `lineage` are the ids of the credentials that this one was made from, its own
    last; when one of them is revoked, so is this. `expires_ms` bounds what is made from it.

    `vouched` means that the roles of the maker were looked at when the credential was made,
    and cannot be known now.
    """

    lineage: tuple[str, ...]
    rules: frozenset[str]
    queues: tuple[str, ...]
    expires_ms: int
    client_id: str | None = None
    vouched: bool = False

    @property
    def id(self) -> str:
        """The id of the credential itself."""
        return self.lineage[-1]

    def allows(self, rule: str, queue: str | None) -> bool:
        """Say whether the rule may be used, on `queue` if it concerns one."""
        return rule in self.rules and (queue is None or self.covers(queue))

    def covers(self, queue: str) -> bool:
        """Say whether the grant is for this queue, or for all that this pattern fits.

        NOTE: names hold no `*`, so the `*` of a pattern can only be met by a `*` of ours,
        which then meets whatever stands in its place.
        """
        return any(fnmatchcase(queue, pattern) for pattern in self.queues)


class Identity(NamedTuple):
    """Who acts: a user with roles in a project, maybe narrowed by a grant.

    `roles` are in lower case.
    """

    project: str
    user: str | None = None
    roles: frozenset[str] = frozenset()
    grant: Grant | None = None

    @property
    def lineage(self) -> tuple[str, ...]:
        """The ids of the credentials behind the identity; none without a grant."""
        return self.grant.lineage if self.grant else ()


def rules_of(operations: Iterable[str]) -> frozenset[str]:
    """Return the policy rules that short names and names of rules stand for.

    Raises: InvalidRequest naming what is neither.
    """
    known = frozenset().union(*OPERATIONS.values())
    rules: set[str] = set()
    for name in operations:
        if name not in OPERATIONS and name not in known:
            raise InvalidRequest(
                f"operations: '{name}' is none of {', '.join(sorted(OPERATIONS))}."
            )
        rules |= OPERATIONS.get(name, frozenset({name}))
    return frozenset(rules)
