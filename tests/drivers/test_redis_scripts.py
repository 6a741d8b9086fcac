from __future__ import annotations

import re
from importlib.resources import files

import pytest

from storage_drivers.redis import scripts
from storage_drivers.redis.layout import MESSAGES, Layout
from storage_drivers.redis.scripts import Argument, Script, ScriptError

FOLDER = files("storage_drivers.redis") / "scripts"
SCRIPTS = {
    path.name.removesuffix(".lua"): path.read_text()
    for path in FOLDER.iterdir()
    if path.name.endswith(".lua")
}
INCLUDES = {
    path.name.removesuffix(".lua"): path.read_text() for path in (FOLDER / "includes").iterdir()
}
EVERYTHING = SCRIPTS | INCLUDES


def field(source: str, name: str) -> list[str]:
    found = re.search(rf"^-- {name}:(.*)$", source, re.MULTILINE)
    return found[1].split() if found else []


def body(source: str) -> str:
    return re.sub(r"--.*", "", source)


def words(source: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", body(source)))


def test_every_script_is_used() -> None:
    assert {script.name for script in Script.loaded} == set(SCRIPTS)


def test_every_include_is_used() -> None:
    assert {name for source in SCRIPTS.values() for name in field(source, "uses")} == set(
        INCLUDES
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_tells_promise_keys_arguments_and_answer(name: str) -> None:
    source = SCRIPTS[name]
    assert source.startswith("-- ")
    for line in ("keys", "args", "returns"):
        assert f"\n-- {line}:" in source


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_script_makes_up_a_key(name: str) -> None:
    keys = set(field(EVERYTHING[name], "keys"))
    first_arguments = re.findall(
        r"(?:redis\.call|call_with)\('[A-Z]+', (\w+)", body(EVERYTHING[name])
    )
    # A parameter or loop variable that stands for one of the keys.
    stand_ins = {"index", "key", "claim"}
    assert set(first_arguments) <= keys | stand_ins
    assert "KEYS" not in words(EVERYTHING[name])


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_declared_key_is_used(name: str) -> None:
    parts = [SCRIPTS[name], *(INCLUDES[use] for use in field(SCRIPTS[name], "uses"))]
    assert set(field(SCRIPTS[name], "keys")) <= set().union(*map(words, parts))


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_script_searches_the_key_space_or_reads_a_clock(name: str) -> None:
    forbidden = {"KEYS", "SCAN", "HSCAN", "ZSCAN", "SSCAN", "HGETALL", "HKEYS", "DEL", "TIME"}
    assert not forbidden & set(re.findall(r"'([A-Z]+)'", body(EVERYTHING[name])))
    assert "tostring" not in words(EVERYTHING[name])


@pytest.mark.parametrize(
    ("keys", "args"),
    [
        ("messages", "now_ms limit"),
        (MESSAGES, "limit now_ms"),
        (MESSAGES, "now_ms"),
    ],
)
def test_a_use_that_does_not_fit_the_header_fails_at_start(keys: str, args: str) -> None:
    with pytest.raises(ScriptError, match="pop_messages"):
        Script("pop_messages", keys=keys, args=args)


def test_an_include_whose_keys_are_not_declared_fails_at_start() -> None:
    with pytest.raises(ScriptError, match="due"):
        scripts.include("due", ["ready"], "some_script")


def test_an_argument_without_a_type_fails_at_start() -> None:
    with pytest.raises(ScriptError, match="limit"):
        list(scripts.arguments(["now_ms:number", "limit"], "some_script"))


def test_a_script_takes_no_argument_too_many_and_none_too_few() -> None:
    pop = next(script for script in Script.loaded if script.name == "pop_messages")
    place = Layout("test").queue("alpha", "orders")
    assert b"EVALSHA" in pop.run(place, {}, {"now_ms": 1, "limit": 1})
    for args in (
        {"now_ms": 1},
        {"limit": 1, "now_ms": 1},
        {"now_ms": 1, "limit": 1, "more": 1},
    ):
        with pytest.raises(ScriptError):
            pop.run(place, {}, args)
    with pytest.raises(ScriptError):
        pop.run(place, {}, {"now_ms": 1, "limit": 1}, [b"rest"])


def test_a_script_takes_no_key_too_many_and_none_too_few() -> None:
    get = next(script for script in Script.loaded if script.name == "get_claim")
    args: dict[str, Argument] = {"now_ms": 1, "claim_id": "c"}
    with pytest.raises(KeyError):
        get.run(Layout("test").queue("alpha", "orders"), {}, args)
    place = Layout("test").queue("alpha", "orders")
    assert b"EVALSHA" in get.run(place, {"claim": b"k"}, args)
    for keys in ({}, {"claim": b"k", "more": b"k"}):
        with pytest.raises(ScriptError):
            get.run(place, keys, args)
