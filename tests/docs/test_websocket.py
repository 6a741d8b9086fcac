"""The page on the WebSocket says what there is, and its example runs."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.markdown import ROOT, blocks, rows
from tests.e2e.nusku import NuskuServer
from tests.identity.test_websocket_grants import ACTIONS
from transport.socket import conversation

PAGE = ROOT / "docs/websocket.md"


def test_every_action_is_listed_with_its_rule_and_the_fields_that_it_needs() -> None:
    listed = [(_code(row[0]), _code(row[3]), _required(row[1])) for row in rows(PAGE, "Action")]
    assert listed[0] == ("authenticate", "", set())
    found = {(action, rule) for action, rule, _ in listed[1:]}
    assert found == {(action, rule) for action, rule, _ in ACTIONS}
    for action, _, required in listed[1:]:
        fields = conversation.ACTIONS[action].shape.__struct_fields__
        assert required <= set(fields)


def _code(cell: str) -> str:
    return cell.strip("`")


def _required(cell: str) -> set[str]:
    needed = cell.partition(";")[0]
    return set(re.findall(r"`(\w+)`", needed))


def test_every_code_that_we_close_with_is_listed() -> None:
    listed = {int(code) for row in rows(PAGE, "Code") for code in row[0].split(", ")}
    ours = (
        conversation.EXPIRED,
        conversation.FORBIDDEN,
        conversation.FAILED,
        conversation.RESTART,
    )
    assert {code for code, _ in ours} <= listed


def test_the_example_hears_what_it_posts(nusku: NuskuServer) -> None:
    (program,) = (block.text for block in blocks(PAGE) if block.language == "python")
    address = nusku.url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:8888", address)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['started', 'ended']\n"
