"""Policies: which roles and users may do what, in the language of OpenStack's policy files.

An expression is made of these checks, with `and`, `or`, `not` and parentheses:

    @, or nothing at all        everybody
    !                           nobody
    role:NAME                   who has the role, in any case of letters
    user_id:ID, project_id:ID   this user, everybody in this project
    project_id:%(project_id)s   who owns the queue: always true, as nobody reaches another's
    rule:NAME                   what another entry says

Names of entries are the policy rules of Zaqar, ours for what Zaqar does not have, and any
name without a colon for use by `rule:`. What a file leaves out has its default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from queues.errors import ConfigurationError, Forbidden
from queues.identity import Identity

Check = Callable[[Identity], bool]

#: What applies without a file. Source of the names and of who may: Zaqar v2.
DEFAULTS: dict[str, str] = {
    **dict.fromkeys(
        (
            "queues:get_all",
            "queues:create",
            "queues:get",
            "queues:update",
            "queues:delete",
            "queues:stats",
            "queues:purge",
            "queues:share",
            "messages:create",
            "messages:get_all",
            "messages:get",
            "messages:delete",
            "messages:delete_all",
            "claims:create",
            "claims:get",
            "claims:update",
            "claims:delete",
            "subscription:get_all",
            "subscription:create",
            "subscription:get",
            "subscription:update",
            "subscription:delete",
            "subscription:confirm",
            "subscription:get_deliveries",
            "subscription:replay",
            "cursors:create",
            "cursors:get_all",
            "cursors:get",
            "cursors:update",
            "cursors:delete",
            "shares:get_all",
            "shares:delete",
            "tokens:create",
            "tokens:get_all",
            "tokens:delete",
            "dead_letters:get_all",
            "redrives:create",
            "redrives:get",
            "redrives:delete",
            "signals:create",
            "signals:get_all",
            "signals:get",
            "signals:delete",
            "signals:signal",
        ),
        "",
    ),
    "health:get": "role:admin",
    "quotas:get_own": "",
    "quotas:get": "role:admin",
    "quotas:update": "role:admin",
    "quotas:delete": "role:admin",
}

#: Rules of Zaqar for things that do not exist here, or are open to everybody; allowed in a
#: file, without effect.
_WITHOUT_EFFECT = re.compile(r"(pools|flavors|topics):[a-z_]+|ping:get")

_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_OWNER = "%(project_id)s"


class Authorization:
    """The compiled policy of a server."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        """Compile `rules` over the defaults.

        Raises: ConfigurationError naming the rule that is wrong.
        """
        self._texts = {**DEFAULTS, **rules}
        self._compiling: list[str] = []
        self._checks: dict[str, Check] = {}
        for name in self._texts:
            _check_name(name)
            self._compile(name)

    def allows(self, rule: str, identity: Identity, queue: str | None) -> bool:
        """Say whether policy and credential both let `identity` use the rule, on this queue."""
        grant = identity.grant
        if grant is not None:
            if not grant.allows(rule, queue):
                return False
            if grant.vouched:
                return True
        return self._checks[rule](identity)

    def check(self, rule: str, identity: Identity, queue: str | None) -> None:
        """Refuse what is not allowed.

        Raises: Forbidden naming the rule.
        """
        if not self.allows(rule, identity, queue):
            raise Forbidden(f"You are not allowed to use {rule} here.")

    def _compile(self, name: str) -> Check:
        if name in self._checks:
            return self._checks[name]
        if name in self._compiling:
            raise ConfigurationError(f"policy: '{name}' refers to itself")
        if name not in self._texts:
            raise ConfigurationError(
                f"policy: '{self._compiling[-1]}' refers to '{name}', which is missing"
            )
        self._compiling.append(name)
        check = self._checks[name] = _Parser(self._texts[name], name, self._compile).parse()
        self._compiling.pop()
        return check


def read(file: str) -> Authorization:
    """Return the policy in a TOML file of `"rule" = "expression"`; no name means the defaults.

    Raises: ConfigurationError in one line.
    """
    if not file:
        return Authorization({})
    try:
        document = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as ex:
        raise ConfigurationError(f"cannot read the policy file {file}: {ex}") from ex
    for name, text in document.items():
        if not isinstance(text, str):
            raise ConfigurationError(f"policy: '{name}' must be an expression in a string")
    return Authorization(document)


def _check_name(name: str) -> None:
    if ":" in name and name not in DEFAULTS and not _WITHOUT_EFFECT.fullmatch(name):
        raise ConfigurationError(f"policy: there is no rule '{name}'")


class _Parser:
    """Parses one expression: `or` binds loosest, then `and`, then `not`."""

    def __init__(self, text: str, name: str, compile_rule: Callable[[str], Check]) -> None:
        self._name = name
        self._compile_rule = compile_rule
        self._tokens = _tokens(text)
        self._next = next(self._tokens, None)

    def parse(self) -> Check:
        if self._next is None:
            return _everybody
        check = self._either()
        for token in (self._next, *self._tokens):
            if token is not None:
                raise self._wrong(f"'{token}' is unexpected")
        return check

    def _either(self) -> Check:
        checks = [self._all()]
        while self._accept("or"):
            checks.append(self._all())
        return checks[0] if len(checks) == 1 else lambda who: any(c(who) for c in checks)

    def _all(self) -> Check:
        checks = [self._not()]
        while self._accept("and"):
            checks.append(self._not())
        return checks[0] if len(checks) == 1 else lambda who: all(c(who) for c in checks)

    def _not(self) -> Check:
        if self._accept("not"):
            check = self._not()
            return lambda who: not check(who)
        if self._accept("("):
            check = self._either()
            if not self._accept(")"):
                raise self._wrong("a ')' is missing")
            return check
        return self._single()

    def _single(self) -> Check:
        token, self._next = self._next, next(self._tokens, None)
        if token is None:
            raise self._wrong("it ends too early")
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        kind, _, value = token.partition(":")
        if kind == "rule" and value:
            return self._compile_rule(value)
        if kind not in _KINDS or not value:
            raise self._wrong(f"'{token}' is no check")
        return _KINDS[kind](value)

    def _accept(self, token: str) -> bool:
        if self._next is None or self._next.lower() != token:
            return False
        self._next = next(self._tokens, None)
        return True

    def _wrong(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"policy: '{self._name}': {text}")


def _tokens(text: str) -> Iterator[str]:
    # NOTE: the parentheses of "%(project_id)s" are no punctuation.
    masked = text.replace(_OWNER, "%OWNER")
    return (found[1].replace("%OWNER", _OWNER) for found in _TOKEN.finditer(masked))


def _everybody(who: Identity) -> bool:
    return True


def _nobody(who: Identity) -> bool:
    return False


def _role(value: str) -> Check:
    role = value.lower()
    return lambda who: role in who.roles


def _user(value: str) -> Check:
    return lambda who: who.user == value


def _project(value: str) -> Check:
    return _everybody if value == _OWNER else lambda who: who.project == value


_CONSTANTS: dict[str, Check] = {"@": _everybody, "!": _nobody}
_KINDS: dict[str, Callable[[str], Check]] = {
    "role": _role,
    "user_id": _user,
    "project_id": _project,
}
