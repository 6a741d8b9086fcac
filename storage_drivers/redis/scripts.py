"""Loads the Lua scripts and lets Python pass keys and arguments by name.

A script begins with a header of comments: what it promises, then

    -- keys: meta seq                          names of its keys
    -- uses: lists record                      files of `includes/` it needs, in this order
    -- args: now_ms:number name:text rest...   its arguments; `rest...` takes all that remain
    -- returns: ...

The loader turns names into Lua locals in front of the body, along with the answers of
errors.py. Python repeats the names where it uses a script, so a mismatch fails at import.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha1
from importlib.resources import files
from typing import ClassVar

from hiredis import pack_command

from storage_drivers.redis.errors import Answer, RefusalCode
from storage_drivers.redis.layout import Place, encode

Argument = bytes | str | int

_FOLDER = files("storage_drivers.redis") / "scripts"
_CONVERSIONS = {"number": "tonumber(ARGV[{}])", "text": "ARGV[{}]"}


class ScriptError(Exception):
    """A script's header is wrong, or Python and the header disagree."""


def _field(source: str, name: str, where: str) -> list[str]:
    found = re.search(rf"^-- {name}:(.*)$", source, re.MULTILINE)
    if found is None:
        raise ScriptError(f"{where}: no line '-- {name}:' in the header")
    return found[1].split()


def _read(path: str) -> str:
    return (_FOLDER / path).read_text(encoding="utf-8")


def _constants() -> Iterator[str]:
    for member in (*Answer, *RefusalCode):
        yield f"local {member.name} = {member.value}"


def arguments(args: list[str], where: str) -> Iterator[str]:
    """Return the Lua lines that give the arguments of the script `where` their names."""
    for i, arg in enumerate(args, 1):
        name, _, kind = arg.partition(":")
        if arg.endswith("...") and i == len(args):
            rest = arg.removesuffix("...")
            yield f"local {rest} = {{}}"
            yield f"for i = {i}, #ARGV do {rest}[i - {i - 1}] = ARGV[i] end"
        elif kind in _CONVERSIONS:
            yield f"local {name} = {_CONVERSIONS[kind].format(i)}"
        else:
            raise ScriptError(f"{where}: argument {arg!r} is neither number nor text")


def include(name: str, keys: list[str], where: str) -> str:
    """Return the text of an include that finds its keys in the script `where`."""
    source = _read(f"includes/{name}.lua")
    if missing := set(_field(source, "keys", name)) - set(keys):
        raise ScriptError(f"{where}: {name}.lua needs the keys {sorted(missing)}")
    return source


def _assemble(name: str, keys: list[str], args: list[str]) -> bytes:
    source = _read(f"{name}.lua")
    uses = _field(source, "uses", name) if "\n-- uses:" in source else []
    parts = [
        *_constants(),
        *(f"local {key} = KEYS[{i}]" for i, key in enumerate(keys, 1)),
        *arguments(args, name),
        *(include(use, keys, name) for use in uses),
        source,
    ]
    return "\n".join(parts).encode()


def command(*parts: bytes | int) -> bytes:
    """Return a command in the form in which it is sent."""
    # The stub of hiredis means a tuple of any length.
    packed: bytes = pack_command(parts)  # type: ignore[arg-type]
    return packed


class Script:
    """A Lua script and the commands that load and run it."""

    loaded: ClassVar[list[Script]] = []

    def __init__(self, name: str, *, keys: str, args: str) -> None:
        """Read the script `name`; `keys` and `args` are the names that Python will pass.

        Raises: ScriptError when the script's header says otherwise.
        """
        source = _read(f"{name}.lua")
        declared = _field(source, "args", name)
        self.name = name
        self._keys = tuple(_field(source, "keys", name))
        self._args = tuple(arg.partition(":")[0] for arg in declared)
        if self._keys != tuple(keys.split()) or self._args != tuple(args.split()):
            raise ScriptError(f"{name}: its header and its use in Python do not agree")
        self._takes_rest = bool(declared) and declared[-1].endswith("...")
        if self._takes_rest:
            self._args = self._args[:-1]
        self.source = _assemble(name, list(self._keys), declared)
        self._sha = sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self._head = (b"EVALSHA", self._sha, len(self._keys))
        Script.loaded.append(self)

    def load(self) -> bytes:
        """Return the command that makes the script known to a server."""
        return command(b"SCRIPT", b"LOAD", self.source)

    def run(
        self,
        place: Place,
        keys: Mapping[str, bytes],
        args: Mapping[str, Argument],
        rest: Collection[bytes] = (),
    ) -> bytes:
        """Return the command that runs the script.

        `keys` are those that are not the same for all calls in this place. They come last in
        the header; both `keys` and `args` are given in its order.

        Raises: KeyError when a key is missing, ScriptError when the arguments are not those
        of the header.
        """
        # PERF: what is the same for all calls is looked up as one; the parser packs numbers.
        head = place.heads.get(self.name)
        if head is None:
            fixed = [place.keys[name] for name in self._keys if name not in keys]
            head = place.heads[self.name] = (*self._head, *fixed)
        if tuple(args) != self._args or (rest and not self._takes_rest):
            raise ScriptError(f"{self.name}: takes {self._args}, got {list(args)}")
        if len(head) + len(keys) != len(self._head) + len(self._keys):
            raise ScriptError(f"{self.name}: takes the keys {self._keys}, got {list(keys)}")
        values = [encode(v) if isinstance(v, str) else v for v in args.values()]
        return command(*head, *keys.values(), *values, *rest)
