"""Strategies by name, as the setting `auth_strategy` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from queues.clock import Clock
from queues.config import Settings
from transport.identity.strategy import Strategy

if TYPE_CHECKING:
    from transport.identity.keystone_trusts import KeystoneTrusts


def strategy(settings: Settings, clock: Clock) -> Strategy | None:
    """Return the strategy that the settings choose; None for `none`, which proves nothing.

    Raises: ConfigurationError.
    """
    return _STRATEGIES[settings.auth_strategy](settings, clock)


# NOTE: each is imported when it is chosen, as a server needs the memory of one only.


def _none(settings: Settings, clock: Clock) -> None:
    return None


def _jwt(settings: Settings, clock: Clock) -> Strategy:
    from transport.identity.json_web_tokens import ClaimNames, JwtStrategy
    from transport.identity.verifying_keys import source

    return JwtStrategy(
        source(settings.jwt_keys, clock),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_s=settings.jwt_leeway_s,
        claims=ClaimNames(
            settings.jwt_project_claim, settings.jwt_user_claim, settings.jwt_roles_claim
        ),
        clock=clock,
    )


def _keystone(settings: Settings, clock: Clock) -> Strategy:
    from transport.identity.keystone import KeystoneStrategy

    return KeystoneStrategy(
        url=settings.keystone_url,
        public_url=settings.keystone_public_url or settings.keystone_url,
        user=settings.keystone_user,
        password=settings.keystone_password,
        user_domain=settings.keystone_user_domain,
        project=settings.keystone_project,
        project_domain=settings.keystone_project_domain,
        timeout_s=settings.keystone_timeout_s,
        cache_s=settings.keystone_cache_s,
        clock=clock,
    )


def trusts(settings: Settings, clock: Clock) -> KeystoneTrusts | None:
    """Return what makes trusts; only the strategy `keystone` has them.

    Raises: ConfigurationError.
    """
    if settings.auth_strategy != "keystone":
        return None
    from transport.identity.keystone import keystone_site
    from transport.identity.keystone_documents import Login
    from transport.identity.keystone_trusts import KeystoneTrusts

    login = Login(
        settings.keystone_user,
        settings.keystone_password,
        settings.keystone_user_domain,
        settings.keystone_project,
        settings.keystone_project_domain,
    )
    site = keystone_site(settings.keystone_url, timeout_s=settings.keystone_timeout_s)
    return KeystoneTrusts(site, login, clock)


_STRATEGIES: dict[str, Callable[[Settings, Clock], Strategy | None]] = {
    "none": _none,
    "jwt": _jwt,
    "keystone": _keystone,
}
