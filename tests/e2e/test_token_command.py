"""`nusku token`: tokens from the command line, on a store that a server with workers uses."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.nusku import PROJECT, NuskuServer, command, environment, eventually

#: As the README makes it.
MAKE_KEYS = """printf '[tokens]\\nfirst = "%s"\\n' "$(openssl rand -base64 32)" > keys.toml"""


class TokenCommand:
    """The command, on the store of a server."""

    def __init__(self, folder: Path, storage: str) -> None:
        self._folder = folder
        self._place = ("--project", PROJECT, "--storage", storage)

    def __call__(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (command("nusku"), "token", verb, *self._place, *arguments),
            cwd=self._folder,
            env=environment({"NUSKU_KEYS_FILE": "keys.toml"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def listed(self) -> list[dict[str, object]]:
        result = self("list")
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def token(tmp_path: Path, store: Store) -> TokenCommand:
    (tmp_path / "keys.toml").write_text("")
    subprocess.run(("sh", "-c", MAKE_KEYS), cwd=tmp_path, check=True, timeout=20)
    return TokenCommand(tmp_path, store.url)


@pytest.fixture
def server(tmp_path: Path, serve: Serve, store: Store, token: TokenCommand) -> NuskuServer:
    settings = tmp_path / "nusku.toml"
    settings.write_text(f'keys_file = "{tmp_path}/keys.toml"\n')
    return serve(store.url, "--workers", "2", "--config", str(settings))


def _answers_of_both_workers(server: NuskuServer, token: str, queue: str) -> set[int]:
    """Post until both workers have answered, and return all statuses."""
    statuses: set[int] = set()
    workers: set[str] = set()

    def post(_: int) -> httpx.Response:
        return httpx.post(
            f"{server.url}/v2/queues/{queue}/messages",
            json={"messages": [{"body": 1}]},
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        )

    def both_answered() -> bool:
        for answer in pool.map(post, range(16)):
            statuses.add(answer.status_code)
            # The id of a request begins with what is the worker's own.
            workers.add(answer.headers["X-Openstack-Request-Id"].rpartition("-")[0])
        return len(workers) == 2

    with ThreadPoolExecutor(8) as pool:
        eventually(both_answered, within_s=20, what="both workers answer")
    return statuses


def test_a_token_opens_what_it_is_for_on_every_worker_until_it_is_revoked(
    server: NuskuServer, token: TokenCommand
) -> None:
    made = token("create", "--operation", "post", "--queue", "orders*", "--name", "shop")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    (entry,) = token.listed()
    assert (entry["name"], entry["operations"], entry["user"]) == ("shop", ["post"], "operator")
    assert _answers_of_both_workers(server, secret, "orders-1") == {201}
    assert _answers_of_both_workers(server, secret, "others") == {403}
    revoked = token("revoke", str(entry["id"]))
    assert (revoked.returncode, revoked.stdout) == (0, ""), revoked.stderr
    assert _answers_of_both_workers(server, secret, "orders-1") == {401}
    assert token.listed() == []


def test_what_was_made_over_http_is_listed_and_revoked_here(
    server: NuskuServer, token: TokenCommand
) -> None:
    with server.client() as client:
        made = client.post("/v2/tokens", json={"operations": ["post"]}).json()
    assert [entry["id"] for entry in token.listed()] == [made["id"]]
    assert token("revoke", made["id"]).returncode == 0
    assert _answers_of_both_workers(server, made["token"], "orders") == {401}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "--operation"),
        (("create", "--operation", "fly"), "'fly' is none of"),
        (("create", "--operation", "post", "--queue", "a/b"), "'a/b' is no pattern"),
        (("create", "--operation", "post", "--ttl", "0"), "ttl must be between 1 and"),
        (("create", "--operation", "post", "--config", "absent.toml"), "absent.toml"),
        (("revoke", "unknown"), "unknown"),
    ],
)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_misuse_is_one_line_and_exit_code_2(
    token: TokenCommand, arguments: tuple[str, ...], words: str
) -> None:
    result = token(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"nusku: [^\n]+\n", result.stderr), result.stderr
    assert words in result.stderr


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_without_a_key_there_is_no_token(token: TokenCommand, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("")
    result = token("create", "--operation", "post")
    assert (result.returncode, result.stdout) == (2, "")
    assert "keys_file" in result.stderr
