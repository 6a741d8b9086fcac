"""Which URLs and files the SQLite driver takes, and how it refuses the others."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from queues.errors import ConfigurationError
from storage_drivers.sqlite import Driver
from storage_drivers.sqlite.layout import database_path, migrations


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def files(folder: Path) -> dict[str, int]:
    """Return the names and permissions of what is in a folder."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    tmp_path.chmod(0o500)
    return tmp_path


async def refusal(path: Path) -> str:
    driver = Driver(url(path), timeout_ms=1000)
    with pytest.raises(ConfigurationError) as caught:
        await driver.open()
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///nusku.db", "nusku.db"),
        ("sqlite:///some/where/nusku.db", "some/where/nusku.db"),
        ("sqlite:////var/lib/nusku.db", "/var/lib/nusku.db"),
        ("sqlite:////var/lib/a%20b%3F.db", "/var/lib/a b?.db"),
    ],
)
def test_a_url_names_a_relative_or_an_absolute_file(text: str, path: str) -> None:
    assert database_path(text) == Path(path)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/file.db",
        "sqlite:///file.db?mode=memory",
        "sqlite:///file.db?timeout=1",
        "sqlite:///file.db#part",
        "sqlite:///a%00b",
    ],
)
def test_a_url_without_a_file_or_with_parameters_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^storage sqlite://: .+$"):
        Driver(text, timeout_ms=1000)


def test_nothing_is_touched_before_open(tmp_path: Path) -> None:
    Driver(url(tmp_path / "nusku.db"), timeout_ms=1000)
    assert files(tmp_path) == {}


async def test_a_new_file_and_its_log_are_for_the_owner_alone(tmp_path: Path) -> None:
    driver = Driver(url(tmp_path / "nusku.db"), timeout_ms=1000)
    await driver.open()
    await driver.queues.create("alpha", "orders", metadata=b"{}", version=1, now_ms=0)
    modes = files(tmp_path)
    await driver.close()
    names = ["nusku.db", "nusku.db-wal", "nusku.db-shm", "nusku.db-turn"]
    assert modes == dict.fromkeys(names, 0o600)


async def test_a_name_with_special_characters_is_opened_as_it_is(tmp_path: Path) -> None:
    driver = Driver(url(tmp_path) + "/a%3Fmode=memory%25%23.db", timeout_ms=1000)
    await driver.open()
    await driver.close()
    assert list(files(tmp_path)) == ["a?mode=memory%#.db"]


async def test_a_missing_directory_is_refused_and_not_created(tmp_path: Path) -> None:
    assert "does not exist" in await refusal(tmp_path / "absent" / "nusku.db")
    assert files(tmp_path) == {}


async def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "directory" in await refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_directory_without_write_permission_is_refused(locked: Path) -> None:
    assert "permission" in await refusal(locked / "nusku.db")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 1000)
    assert "no SQLite database" in await refusal(path)
    assert path.read_text() == "dear diary, " * 1000


async def test_the_database_of_another_application_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert "another application" in await refusal(path)


async def test_a_file_of_a_newer_version_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "nusku.db"
    driver = Driver(url(path), timeout_ms=1000)
    await driver.open()
    await driver.close()
    newer = max(migrations()) + 1
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {newer}")
    assert f"schema {newer}, written by a newer version" in await refusal(path)
