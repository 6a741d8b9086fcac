"""Settings: where they come from, which source wins, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from queues.config import Settings, load
from queues.errors import ConfigurationError
from queues.limits import Limits


def _file(tmp_path: Path, text: str) -> str:
    file = tmp_path / "nusku.toml"
    file.write_text(text)
    return str(file)


def test_without_anything_the_defaults_hold() -> None:
    assert load({}, {}) == Settings()
    assert (Settings().host, Settings().port) == ("127.0.0.1", 8888)
    assert Settings().storage == "sqlite:///nusku.db"


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = _file(tmp_path, "port = 1\nworkers = 2\ndrain_timeout_s = 3\n")
    variables = {"NUSKU_PORT": "10", "NUSKU_WORKERS": "20"}
    settings = load({"port": 100, "workers": None}, variables, file)
    assert (settings.port, settings.workers) == (100, 20)
    assert (settings.drain_timeout_s, settings.body_timeout_s) == (3, 30)


def test_the_file_can_be_named_by_a_variable_and_the_flag_wins(tmp_path: Path) -> None:
    file = _file(tmp_path, "port = 1\n")
    assert load({}, {"NUSKU_CONFIG": file}).port == 1
    with pytest.raises(ConfigurationError, match="absent"):
        load({}, {"NUSKU_CONFIG": file}, str(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", True), ("TRUE", True), ("yes", True), ("off", False), ("No", False), ("0", False)],
)
def test_a_variable_can_say_yes_and_no_in_many_words(text: str, expected: bool) -> None:
    assert load({}, {"NUSKU_INSECURE": text}).insecure is expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("NUSKU_PORT", "many"),
        ("NUSKU_PORT", ""),
        ("NUSKU_PORT", "8.5"),
        ("NUSKU_INSECURE", "maybe"),
        ("NUSKU_STORAGE_TIMEOUT_S", "soon"),
    ],
)
def test_a_variable_of_the_wrong_type_is_named(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} must be .*'{text}'"):
        load({}, {variable: text})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('port = "8888"', "port must be a whole number"),
        ("port = 8888.0", "port must be a whole number"),
        ("port = true", "port must be a whole number"),
        ("insecure = 1", "insecure must be true or false"),
        ("storage = 1", "storage must be a string"),
        ("storage_timeout_s = true", "storage_timeout_s must be a number"),
        ("colour = 1", "there is no setting 'colour'"),
        ("[server]\nport = 1", "there is no setting 'server'"),
        ("port 1", "cannot read .*line 1"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load({}, {}, _file(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nusku.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load({}, {}, str(file))


def test_a_whole_number_is_fine_where_a_fraction_is_allowed(tmp_path: Path) -> None:
    assert load({}, {}, _file(tmp_path, "storage_timeout_s = 2")).storage_timeout_s == 2


@pytest.mark.parametrize(
    "flags",
    [
        {"port": -1},
        {"port": 65_536},
        {"workers": 0},
        {"storage_timeout_s": 0.0},
        {"storage_timeout_s": float("nan")},
        {"drain_timeout_s": float("inf")},
        {"max_message_ttl_s": 59},
        {"default_message_ttl_s": 3600, "max_message_ttl_s": 3599},
        {"default_claim_ttl_s": 59},
        {"default_message_delay_s": 901},
        {"max_messages_per_page": 0},
        {"min_length_client_id": 40},
        {"log_level": "loud"},
        {"client_id_uuid_safe": "perhaps"},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(flags: dict[str, object]) -> None:
    names = "|".join(name.removeprefix("max_") for name in flags)
    with pytest.raises(ConfigurationError, match=names):
        load(flags, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_a_public_address_needs_to_be_called_insecure(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--insecure"):
        load({"host": host}, {})
    assert load({"host": host, "insecure": True}, {}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_does_not(host: str) -> None:
    assert load({"host": host}, {}).host == host


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("sqlite:///var/lib/nusku.db", "sqlite:///var/lib/nusku.db"),
        ("redis://:s3cret@h:6379/0", "redis://h:6379/0"),
        ("redis://h/0?password=s3cret", "redis://h/0"),
        ("mongodb://u:s3c%40ret@a,b/db?authSource=x", "mongodb://a,b/db"),
        ("mongodb://u:s3c@ret@a,b/db", "mongodb://a,b/db"),
    ],
)
def test_a_storage_url_is_shown_without_its_secret(storage: str, shown: str) -> None:
    assert Settings(storage=storage).storage_without_secret() == shown


def test_the_limits_are_settings() -> None:
    settings = load({"max_messages_per_page": 7}, {})
    assert settings.limits().max_messages_per_page == 7
    assert {field.name for field in fields(Limits)} <= {
        field.name for field in fields(Settings)
    }


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"auth_strategy": "jwt"}, "jwt_keys"),
        ({"auth_strategy": "jwt", "jwt_keys": "k", "jwt_audience": "a"}, "jwt_issuer"),
        ({"auth_strategy": "jwt", "jwt_keys": "k", "jwt_issuer": "i"}, "jwt_audience"),
        ({"auth_strategy": "keystone", "keystone_password": "p"}, "keystone_url"),
        ({"auth_strategy": "keystone", "keystone_url": "http://k/v3"}, "keystone_password"),
    ],
)
def test_a_strategy_without_what_it_needs_is_refused(
    given: dict[str, str], missing: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"needs {missing}"):
        load(given, {})


def test_with_authentication_a_public_address_is_allowed() -> None:
    given = {"auth_strategy": "keystone", "keystone_url": "k", "keystone_password": "p"}
    assert load({**given, "host": "0.0.0.0"}, {}).host == "0.0.0.0"


def test_a_password_is_not_in_the_representation() -> None:
    assert "hunter2" not in repr(Settings(keystone_password="hunter2"))
