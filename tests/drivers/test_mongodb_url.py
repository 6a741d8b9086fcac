"""What a URL may ask for, and that no password of it is ever shown."""

from __future__ import annotations

import pytest

from queues.errors import ConfigurationError, StorageUnavailable
from storage_drivers import open_storage
from storage_drivers.mongodb import Driver
from tests.drivers.mongodb_storage import fresh_url, opened
from tests.servers.mongodb import MongoServer, connect
from tests.servers.process import free_port

PASSWORD = "correct-horse"
URL = f"mongodb://somebody:{PASSWORD}@127.0.0.1:1/nusku"


@pytest.mark.parametrize(
    "options",
    [
        "w=0",
        "w=1",
        "w=2",
        "W=1",
        "j=false",
        "journal=false",
        "appName=x&w=majority&w=1",
        "appName=x;w=1",
        "readPreference=secondary",
        "readPreference=nearest",
    ],
)
def test_a_url_that_weakens_a_promise_is_refused(options: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_storage(f"{URL}?{options}", timeout_ms=100)
    assert "\n" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "options", ["", "w=majority", "j=true&w=majority", "retryWrites=false"]
)
def test_a_url_that_asks_for_no_less_is_accepted(options: str) -> None:
    open_storage(f"{URL}?{options}", timeout_ms=100)


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://some:body:{PASSWORD}@127.0.0.1/nusku",
        f"mongodb://somebody:{PASSWORD}@127.0.0.1:port/nusku",
        f"mongodb://somebody:{PASSWORD}@[::1/nusku",
        f"mongodb://somebody:{PASSWORD}@127.0.0.1/nusku?authMechanism=none",
        f"mongodb://{PASSWORD}%zz:@/",
    ],
)
async def test_a_url_that_makes_no_sense_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await Driver(url, timeout_ms=100).open()
    assert PASSWORD not in str(refused.value)


async def test_a_store_that_is_not_there_is_reported_without_the_password() -> None:
    url = URL.replace(":1/", f":{free_port()}/")
    with pytest.raises(StorageUnavailable) as refused:
        await Driver(url, timeout_ms=200).open()
    assert PASSWORD not in str(refused.value)


async def test_a_name_without_records_in_dns_is_refused_with_a_reason() -> None:
    url = f"mongodb+srv://somebody:{PASSWORD}@no-such-cluster.invalid/nusku"
    with pytest.raises(ConfigurationError, match="SRV records") as refused:
        await Driver(url, timeout_ms=5000).open()
    assert "\n" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.mongodb
async def test_options_that_the_driver_sets_itself_may_be_in_the_url(
    mongodb_server: MongoServer,
) -> None:
    url = f"{fresh_url(mongodb_server)}?j=true&w=majority&maxPoolSize=5"
    async with opened(url) as driver:
        assert await driver.queues.count("alpha") == 0


@pytest.mark.mongodb
async def test_without_a_database_in_the_url_it_is_nusku(mongodb_server: MongoServer) -> None:
    async with opened(mongodb_server.url) as driver:
        await driver.queues.create("alpha", "orders", metadata=b"{}", version=1, now_ms=1)
    with connect(mongodb_server.url) as connection:
        assert connection["nusku"].queues.count_documents({"live": True}) == 1
        connection.drop_database("nusku")


@pytest.mark.mongodb
async def test_a_standalone_server_is_told_apart_and_warned_about(
    mongodb_server: MongoServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(fresh_url(mongodb_server)) as driver:
        health = await driver.health()
    assert "standalone" in health.durability
    assert len(health.warnings) == 1
    assert "standalone" in caplog.text
