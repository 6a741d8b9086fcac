"""The example clients do what they say, also when answers get lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.lossy import Fault, lossy
from tests.docs.markdown import ROOT
from tests.e2e.nusku import NuskuServer

WORDS = ["one", "two", "three"]
QUOTED = ['"one"', '"two"', '"three"']


def _start(name: str, server: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / name), "--server", server, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(name: str, server: str, *arguments: str) -> tuple[int, list[str], str]:
    process = _start(name, server, *arguments)
    out, errors = process.communicate(timeout=40)
    return process.returncode, out.splitlines(), errors


def _total(nusku: NuskuServer, queue: str) -> int:
    with nusku.client("demo") as client:
        total: int = client.get(f"/v2/queues/{queue}/stats").json()["messages"]["total"]
        return total


def test_what_the_producer_posts_the_consumer_works_on(nusku: NuskuServer) -> None:
    server = nusku.url.removeprefix("http://")
    code, addresses, errors = _run("producer.py", server, "plain", *WORDS)
    assert (code, len(addresses), errors) == (0, 3, "")
    assert _run("consumer.py", server, "--until-empty", "plain") == (0, QUOTED, "")
    assert _total(nusku, "plain") == 0


def test_the_producer_stores_once_though_answers_get_lost(nusku: NuskuServer) -> None:
    with lossy(nusku.url, Fault.LOST_ANSWER, Fault.UNAVAILABLE) as proxy:
        code, addresses, _ = _run("producer.py", proxy.address, "lossy", *WORDS)
    assert (code, len(addresses), proxy.requests) == (0, 3, ["POST"] * 3)
    assert _total(nusku, "lossy") == 3


def test_the_consumer_works_once_though_answers_get_lost(nusku: NuskuServer) -> None:
    _run("producer.py", nusku.url.removeprefix("http://"), "lossy-work", "one")
    faults = (Fault.LOST_ANSWER, Fault.NONE, Fault.LOST_ANSWER, Fault.UNAVAILABLE)
    with lossy(nusku.url, *faults) as proxy:
        done = _run("consumer.py", proxy.address, "--until-empty", "lossy-work")
    assert done == (0, ['"one"'], "")
    assert proxy.requests == ["POST", "POST", "DELETE", "DELETE", "DELETE", "POST"]
    assert _total(nusku, "lossy-work") == 0


def test_the_orchestrator_waits_until_its_guests_are_ready(nusku: NuskuServer) -> None:
    server = nusku.url.removeprefix("http://")
    code, said, errors = _run("boot_and_signal.py", server, "stack-1", "vm-1", "vm-2")
    assert (code, errors) == (0, "")
    assert said == [
        "success: 2 of 2 signals were received.",
        'vm-1: SUCCESS {"host": "vm-1.example"}',
        'vm-2: SUCCESS {"host": "vm-2.example"}',
    ]


def test_the_orchestrator_hears_of_a_guest_that_fails(nusku: NuskuServer) -> None:
    server = nusku.url.removeprefix("http://")
    given = ("--boot", "exit 3", "stack-2", "vm-1")
    code, said, _ = _run("boot_and_signal.py", server, *given)
    assert code == 1
    assert said == ["failure: the boot command failed", "vm-1: FAILURE null"]


def test_the_orchestrator_makes_one_handle_though_answers_get_lost(nusku: NuskuServer) -> None:
    with lossy(nusku.url, Fault.LOST_ANSWER, Fault.UNAVAILABLE) as proxy:
        code, said, _ = _run("boot_and_signal.py", proxy.address, "stack-3", "vm-1")
    assert (code, said[0]) == (0, "success: 1 of 1 signals were received.")
    assert proxy.requests[:3] == ["PUT", "PUT", "PUT"]


def test_the_examples_say_what_is_wrong_with_a_request(nusku: NuskuServer) -> None:
    server = nusku.url.removeprefix("http://")
    for name, arguments in (
        ("producer.py", ("no~name", "x")),
        ("consumer.py", ("no~name",)),
        ("boot_and_signal.py", ("no~name", "x")),
    ):
        code, _, errors = _run(name, server, *arguments)
        assert code == 1
        assert re.search("400 Invalid (queue|signal) identification", errors)


def test_the_consumer_renews_and_releases(nusku: NuskuServer, tmp_path: Path) -> None:
    server = nusku.url.removeprefix("http://")
    _run("producer.py", server, "slow", "one")
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, threading\n"
        f"sys.path.insert(0, {str(ROOT / 'examples')!r})\n"
        "import consumer\n"
        "consumer.RENEW_AFTER_S = 0.05\n"
        "renewals = []\n"
        "enough = threading.Event()\n"
        "class Queue(consumer.Queue):\n"
        "    def call(self, method, path, *rest, **more):\n"
        "        status, answer = super().call(method, path, *rest, **more)\n"
        "        if method == 'PATCH':\n"
        "            renewals.append(status)\n"
        "            if len(renewals) == 2: enough.set()\n"
        "        return status, answer\n"
        "def work(body):\n"
        "    assert enough.wait(10)\n"
        "    raise RuntimeError('out of paper')\n"
        "consumer.work = work\n"
        f"assert consumer.consume(Queue({server!r}, 'slow'))\n"
        "assert set(renewals) == {204}, renewals\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "out of paper" in done.stderr
    assert _run("consumer.py", server, "--until-empty", "slow") == (0, ['"one"'], "")
