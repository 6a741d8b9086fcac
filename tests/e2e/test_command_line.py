"""The command: what it says when all is well, and in one line when it is not."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, version
from pathlib import Path
from sysconfig import get_path

import httpx
import pytest

from tests.e2e.conftest import Serve
from tests.e2e.nusku import CLIENT_ID, PROJECT, command, environment, eventually
from tests.servers.process import free_port

ROOT = Path(__file__).parents[2]


def _run(
    cwd: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (command("nusku"), *arguments),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def _assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert re.fullmatch(r"nusku: [^\n]+\n", result.stderr), result.stderr
    for word in words:
        assert word in result.stderr


def test_it_tells_its_version(tmp_path: Path) -> None:
    result = _run(tmp_path, "--version")
    assert (result.returncode, result.stdout) == (0, f"nusku {version('nusku')}\n")


def test_without_settings_it_uses_port_8888_and_a_file_in_the_current_directory(
    tmp_path: Path,
) -> None:
    shown = _run(tmp_path, "serve", "--help").stdout
    for default in ("127.0.0.1", "8888", "sqlite:///nusku.db"):
        assert f"(default: {default})" in shown


def test_the_first_curl_works_as_it_is_printed(serve: Serve) -> None:
    server = serve("sqlite:///first.db")
    assert f"It stores in {server.folder}/first.db\n" in server.said
    curl = server.said[server.said.index("  curl") :]
    result = subprocess.run(("bash", "-c", curl), capture_output=True, text=True, timeout=20)
    assert result.stdout.startswith("HTTP/1.1 201 "), result.stdout + result.stderr
    with server.client("demo") as client:
        stats = client.get("/v2/queues/demo/stats").json()
    assert stats["messages"]["total"] == 1


def test_no_secret_of_the_storage_url_is_shown(serve: Serve, redis_server: object) -> None:
    url = redis_server.url.replace("//", "//:s3cret@")  # type: ignore[attr-defined]
    result = _run(Path.cwd(), "serve", "--port", "0", "--storage", url)
    assert result.returncode in (1, 2)
    assert "s3cret" not in result.stdout + result.stderr


@pytest.mark.parametrize("url", ["user:secret@db", "secret", "mysql://user:secret@db"])
def test_nothing_of_a_mistyped_storage_url_is_shown(tmp_path: Path, url: str) -> None:
    result = _run(tmp_path, "serve", "--port", "0", "--storage", url)
    assert "secret" not in result.stderr + result.stdout
    _assert_one_line(result, 2, "the storage URL must begin with")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("command",)),
        (("serve", "--colour"), ("--colour",)),
        (("serve", "--port", "many"), ("--port", "many")),
        (("serve", "--port", "70000"), ("port", "65535")),
        (("serve", "--workers", "0"), ("workers",)),
        (("serve", "--log-level", "loud"), ("log_level", "debug")),
        (("serve", "--host", "0.0.0.0"), ("0.0.0.0", "--insecure")),
        (("serve", "--storage", "mysql://db"), ("storage URL", "sqlite://")),
        (("serve", "--storage", "nusku.db"), ("storage URL", "sqlite://")),
        (("serve", "--config", "absent.toml"), ("absent.toml",)),
        (("serve", "--config", "."), ("configuration file",)),
        (("serve", "--config", "broken.toml"), ("broken.toml", "line 1")),
        (("serve", "--config", "strange.toml"), ("strange.toml", "colour")),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "broken.toml").write_text("port 8888\n")
    (tmp_path / "strange.toml").write_text("colour = 'red'\n")
    _assert_one_line(_run(tmp_path, *arguments), 2, *words)


def test_a_bad_variable_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = _run(tmp_path, "serve", env={"NUSKU_PORT": "many"})
    _assert_one_line(result, 2, "NUSKU_PORT", "many")


SHORT_KEY = "c2VjcmV0"
JWT = 'auth_strategy = "jwt"\njwt_issuer = "i"\njwt_audience = "a"\n'


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('policy_file = "absent.toml"', ("policy file", "absent.toml")),
        ('policy_file = "policy.toml"', ("queues:create", "'roles:a' is no check")),
        ('keys_file = "absent.toml"', ("file of keys", "absent.toml")),
        ('keys_file = "keys.toml"', ("keys.toml", "[tokens] k", "32 bytes")),
        (JWT, ("jwt", "jwt_keys")),
        (JWT + 'jwt_keys = "absent.pem"', ("jwt_keys", "absent.pem")),
        (JWT + 'jwt_keys = "."', ("jwt_keys",)),
        ('auth_strategy = "keystone"\nkeystone_url = "http://k/v3"', ("keystone_password",)),
        ('auth_strategy = "magic"', ("auth_strategy", "keystone")),
    ],
)
def test_wrong_settings_of_who_may_do_what_are_one_line_and_exit_code_2(
    tmp_path: Path, settings: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "nusku.toml").write_text(settings)
    (tmp_path / "policy.toml").write_text('"queues:create" = "roles:a"')
    (tmp_path / "keys.toml").write_text(f'[tokens]\nk = "{SHORT_KEY}"')
    result = _run(tmp_path, "serve", "--port", "0", "--config", "nusku.toml")
    _assert_one_line(result, 2, *words)
    assert SHORT_KEY not in result.stderr
    assert not list(tmp_path.glob("nusku.db*")), "and nothing was made"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_config_file_that_may_not_be_read_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    secret = tmp_path / "secret.toml"
    secret.touch(mode=0)
    _assert_one_line(_run(tmp_path, "serve", "--config", str(secret)), 2, "secret.toml")


def test_a_missing_package_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "redis.py").write_text("raise ModuleNotFoundError('no', name='redis')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    result = _run(tmp_path, "serve", "--port", "0", "--storage", "redis://h", env=env)
    _assert_one_line(result, 2, "install nusku with its extra 'redis'")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path: Path, taken_port: int) -> None:
    result = _run(tmp_path, "serve", "--port", str(taken_port))
    _assert_one_line(result, 1, str(taken_port), "in use")
    assert not list(tmp_path.iterdir()), "and nothing was made"


def test_an_address_of_another_machine_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = _run(tmp_path, "serve", "--host", "192.0.2.1", "--insecure", "--port", "0")
    _assert_one_line(result, 1, "192.0.2.1")


@pytest.mark.parametrize("storage", ["redis://127.0.0.1:{}", "mongodb://127.0.0.1:{}/nusku"])
def test_an_unreachable_store_is_one_line_and_exit_code_1(tmp_path: Path, storage: str) -> None:
    (tmp_path / "nusku.toml").write_text("storage_timeout_s = 0.5\n")
    url = storage.format(free_port())
    arguments = ("--port", "0", "--config", "nusku.toml", "--storage", url)
    _assert_one_line(_run(tmp_path, "serve", *arguments), 1)


@pytest.mark.parametrize("path", ["absent/nusku.db", "."])
def test_a_file_that_cannot_be_made_is_one_line(tmp_path: Path, path: str) -> None:
    result = _run(tmp_path, "serve", "--port", "0", "--storage", f"sqlite:///{tmp_path}/{path}")
    _assert_one_line(result, result.returncode, str(tmp_path))
    assert result.returncode in (1, 2)


def test_a_plain_gunicorn_serves_with_the_example_and_says_one_line_when_it_cannot(
    tmp_path: Path,
) -> None:
    arguments = ("-c", str(ROOT / "examples" / "gunicorn.conf.py"), "transport.asgi:app")
    port = free_port()
    env = environment({"NUSKU_PORT": str(port), "NUSKU_STORAGE": f"sqlite:///{tmp_path}/q.db"})
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            (command("gunicorn"), *arguments), cwd=tmp_path, env=env, stderr=log
        ) as it,
    ):
        eventually(lambda: _posts(port), within_s=20, what="a message is accepted")
        it.terminate()
        assert it.wait(20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    result = subprocess.run(
        (command("gunicorn"), *arguments),
        cwd=tmp_path,
        env=environment({"NUSKU_PORT": "many"}),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.returncode != 0
    assert re.fullmatch(r"nusku: [^\n]*NUSKU_PORT[^\n]*\n", result.stderr), result.stderr


def _posts(port: int) -> bool:
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v2/queues/q/messages",
            json={"messages": [{"body": 1}]},
            headers={"Client-ID": CLIENT_ID, "X-Project-ID": PROJECT},
        )
    except httpx.TransportError:
        return False
    return answer.status_code == 201


def test_what_is_installed_is_the_three_packages_with_their_data() -> None:
    # Not the metadata that a build leaves in the working directory.
    (found,) = Distribution.discover(name="nusku", path=[get_path("purelib")])
    installed = [file.as_posix() for file in found.files or []]
    if any("__editable__" in file for file in installed):
        pytest.skip("this is an editable installation")
    tops = {file.partition("/")[0] for file in installed if not file.startswith("..")}
    packages = {"queues", "storage_drivers", "transport"}
    assert {top for top in tops if ".dist-info" not in top} == packages
    sources = {
        file.relative_to(ROOT).as_posix()
        for package in packages
        for file in (ROOT / package).rglob("*")
        if file.suffix in (".py", ".lua", ".sql", ".json")
    }
    assert sources <= set(installed)
