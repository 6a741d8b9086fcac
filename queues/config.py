"""Settings: what they are called, where they come from, and what is allowed.

Each setting is read from, in this order: a command-line flag, the environment variable
`NUSKU_<NAME>`, the key of the same name in a TOML file, the default. The one table of them
is the `Settings` class; `docs/operations.md` is tested against it.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from queues.errors import ConfigurationError
from queues.limits import (
    MIN_CLAIM_GRACE_S,
    MIN_CLAIM_TTL_S,
    MIN_MESSAGE_TTL_S,
    MIN_SUBSCRIPTION_TTL_S,
    Limits,
)
from queues.project_limits import ProjectLimits

PREFIX = "NUSKU_"

_CREDENTIALS = re.compile(r"//[^/]*@")
_CLIENT_ID_RULES = ("strict", "off")
_AUTH_STRATEGIES = ("none", "jwt", "keystone")
_SMTP_TLS = ("none", "starttls", "tls")
_LOG_LEVELS = ("debug", "info", "warning", "error")
#: SECURITY: without issuer and audience, a token made for somebody else would do.
_NEEDED = {
    "jwt": ("jwt_keys", "jwt_issuer", "jwt_audience"),
    "keystone": ("keystone_url", "keystone_password"),
}
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Settings(Limits):
    """Every setting of a server. Numbers wear their unit in the name."""

    host: str = "127.0.0.1"
    port: int = 8888
    storage: str = "sqlite:///nusku.db"
    workers: int = 1
    insecure: bool = False
    public_url: str = ""
    storage_timeout_s: float = 5.0
    body_timeout_s: float = 30.0
    drain_timeout_s: float = 30.0
    sweep_interval_s: float = 1.0
    log_level: str = "info"
    client_id_uuid_safe: str = "strict"
    min_length_client_id: int = 10
    max_length_client_id: int = 36
    enable_checksum: bool = False
    message_delete_with_claim_id: bool = False
    auth_strategy: str = "none"
    policy_file: str = ""
    keys_file: str = ""
    jwt_keys: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_leeway_s: float = 10.0
    jwt_project_claim: str = "project_id"
    jwt_user_claim: str = "sub"
    jwt_roles_claim: str = "roles"
    keystone_url: str = ""
    keystone_public_url: str = ""
    keystone_user: str = "nusku"
    keystone_password: str = field(default="", repr=False)
    keystone_user_domain: str = "Default"
    keystone_project: str = "service"
    keystone_project_domain: str = "Default"
    keystone_timeout_s: float = 5.0
    keystone_cache_s: float = 60.0
    quota_queues: int = 0
    quota_messages: int = 0
    quota_body_bytes: int = 0
    quota_claimed_messages: int = 0
    rate_requests_per_s: float = 0.0
    rate_messages_per_s: float = 0.0
    subscription_confirmation: bool = False
    subscription_confirmation_url: str = ""
    webhook_allow: str = ""
    webhook_timeout_s: float = 15.0
    smtp_host: str = ""
    smtp_port: int = 25
    smtp_tls: str = "starttls"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_from: str = ""

    def limits(self) -> Limits:
        """Return the limits among the settings."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})

    def project_limits(self) -> ProjectLimits:
        """Return what every project may use unless the operator said otherwise."""
        return ProjectLimits(
            queues=self.quota_queues,
            messages=self.quota_messages,
            body_bytes=self.quota_body_bytes,
            claimed_messages=self.quota_claimed_messages,
            requests_per_s=self.rate_requests_per_s,
            messages_per_s=self.rate_messages_per_s,
        )

    def storage_without_secret(self) -> str:
        """Return the storage URL as it may be shown: without user, password and query."""
        return _CREDENTIALS.sub("//", self.storage.partition("?")[0])


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: str | None = None
) -> Settings:
    """Return the settings out of flags, environment and file, checked.

    `file` falls back to `NUSKU_CONFIG`. Flags that are None count as not given.

    Raises: ConfigurationError with one line that names the setting and where it came from.
    """
    file = file or environment.get(f"{PREFIX}CONFIG")
    given = {**(_from_file(file) if file else {}), **_from_environment(environment)}
    given.update({name: value for name, value in flags.items() if value is not None})
    settings = Settings(**given)
    _check(settings)
    return settings


def _from_file(file: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as ex:
        raise ConfigurationError(f"cannot read the configuration file {file}: {ex}") from ex
    types = _types()
    for name, value in document.items():
        expected = types.get(name)
        if expected is None:
            raise ConfigurationError(f"{file}: there is no setting '{name}'")
        if not _fits(value, expected):
            raise ConfigurationError(f"{file}: {name} must be {_described(expected)}")
    return document


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    given = {}
    for name, expected in _types().items():
        variable = PREFIX + name.upper()
        if variable in environment:
            given[name] = _parse(variable, environment[variable], expected)
    return given


def _types() -> dict[str, type]:
    return {name: type(value) for name, value in asdict(Settings()).items()}


def _fits(value: object, expected: type) -> bool:
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is expected


def _described(expected: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(
        expected, "a string"
    )


def _parse(variable: str, text: str, expected: type) -> Any:
    try:
        return _parse_bool(text) if expected is bool else expected(text)
    except ValueError as ex:
        raise ConfigurationError(
            f"{variable} must be {_described(expected)}, but is '{text}'"
        ) from ex


def _parse_bool(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _check(settings: Settings) -> None:
    _check_choices(settings)
    _check_bounds(settings)
    _check_authentication(settings)


def _check_authentication(settings: Settings) -> None:
    """Refuse a server that anybody can use by mistake, or nobody can use at all."""
    strategy = settings.auth_strategy
    if strategy == "none" and not settings.insecure and not is_loopback(settings.host):
        raise ConfigurationError(
            f"host {settings.host} is reachable from outside, and without authentication "
            "anybody there can read and write every queue; choose an auth_strategy, or add "
            "--insecure to allow it"
        )
    if settings.smtp_host and not settings.smtp_from:
        raise ConfigurationError("smtp_host needs smtp_from, from whom mails are")
    for needed in _NEEDED.get(strategy, ()):
        if not getattr(settings, needed):
            raise ConfigurationError(f"auth_strategy {strategy} needs {needed}")


def _check_choices(settings: Settings) -> None:
    for name, allowed in (
        ("auth_strategy", _AUTH_STRATEGIES),
        ("client_id_uuid_safe", _CLIENT_ID_RULES),
        ("log_level", _LOG_LEVELS),
        ("smtp_tls", _SMTP_TLS),
    ):
        if getattr(settings, name) not in allowed:
            raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}")


def _check_bounds(settings: Settings) -> None:
    """Refuse numbers out of range, and defaults that the limits would refuse."""
    bounds = {
        "port": (0, 65_535),
        "workers": (1, 1024),
        "max_message_ttl_s": (MIN_MESSAGE_TTL_S, 2**31),
        "default_message_ttl_s": (MIN_MESSAGE_TTL_S, settings.max_message_ttl_s),
        "max_message_delay_s": (0, 2**31),
        "default_message_delay_s": (0, settings.max_message_delay_s),
        "max_claim_ttl_s": (MIN_CLAIM_TTL_S, 2**31),
        "default_claim_ttl_s": (MIN_CLAIM_TTL_S, settings.max_claim_ttl_s),
        "max_claim_grace_s": (MIN_CLAIM_GRACE_S, 2**31),
        "default_claim_grace_s": (MIN_CLAIM_GRACE_S, settings.max_claim_grace_s),
        "max_queues_per_page": (1, 1000),
        "max_messages_per_page": (1, 1000),
        "max_messages_per_claim_or_pop": (1, 1000),
        "max_queue_metadata_bytes": (2, 2**20),
        "max_messages_post_bytes": (1, 2**23),
        "default_subscription_ttl_s": (MIN_SUBSCRIPTION_TTL_S, 2**31),
        "max_subscriptions_per_page": (1, 1000),
        "notification_retention_s": (60, 2**31),
        "idempotency_window_s": (1, 2**31),
        "max_token_ttl_s": (1, 2**31),
        "default_token_ttl_s": (1, settings.max_token_ttl_s),
        "max_credentials_per_page": (1, 1000),
        "max_signal_timeout_s": (1, 2**31),
        "max_signal_bytes": (2, 2**23),
        "max_signals_per_page": (1, 1000),
        "signal_retention_s": (60, 2**31),
        "max_wait_s": (0, 3600),
        "storage_timeout_s": (0.1, 300),
        "body_timeout_s": (0.1, 3600),
        "drain_timeout_s": (1, 3600),
        "sweep_interval_s": (0.05, 3600),
        "min_length_client_id": (1, settings.max_length_client_id),
        "max_length_client_id": (1, 1024),
        "jwt_leeway_s": (0, 300),
        "keystone_timeout_s": (0.1, 300),
        "keystone_cache_s": (0, 3600),
        "quota_queues": (0, 2**53),
        "quota_messages": (0, 2**53),
        "quota_body_bytes": (0, 2**53),
        "quota_claimed_messages": (0, 2**53),
        "rate_requests_per_s": (0, 10**9),
        "rate_messages_per_s": (0, 10**9),
        # NOTE: within the lease of whoever waits for it, queues/operations/agenda.py.
        "webhook_timeout_s": (0.1, 20),
        "smtp_port": (1, 65_535),
    }
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        # NaN compares false with everything, so it is refused, too.
        if not low <= value <= high:
            raise ConfigurationError(f"{name} must be between {low} and {high}, not {value}")


def is_loopback(host: str) -> bool:
    """Say whether a name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
