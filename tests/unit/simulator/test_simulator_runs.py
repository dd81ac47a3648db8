"""A run of the simulator: its options, its first knock, what it watches, and its report."""

import asyncio
import io
from typing import Any

import httpx
import orjson
import pytest
from rich.console import Console
from support.gelato.endpoint import SECRET, Endpoint, against

from ops.simulator import Difference, Options, SimulatorError, make_orders, simulate
from ops.simulator.report import GivenUp, Percentiles, Report
from ops.simulator.run import _knock
from shared.errors import ConfigurationError


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="0 parts"):
        make_orders(1, 1, 0)
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        options(fail=1.5)


def options(**fields: Any) -> Options:
    return Options(
        **{
            "url": "http://127.0.0.1:9",
            "secret": SECRET,
            "redis_url": "redis://:hush@127.0.0.1:9/0",
            **fields,
        }
    )


def test_options_show_no_secret() -> None:
    assert SECRET not in repr(options())
    assert "hush" not in repr(options())


def test_tenants_have_their_own_path() -> None:
    assert options().webhook_url == "http://127.0.0.1:9/webhooks/gelato"
    assert options(url="http://x/", tenant="acme").webhook_url == "http://x/webhooks/gelato/acme"


def test_a_missing_redis_is_one_clear_error_that_shows_no_password() -> None:
    with pytest.raises(SimulatorError, match=r"Redis at 127\.0\.0\.1:9") as redis_away:
        asyncio.run(simulate(options()))
    assert "hush" not in str(redis_away.value)


async def knock(url: str, **fields: Any) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await _knock(client, options(url=url, **fields))


def test_a_service_that_is_down_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match=r"no answer from .*is the receiver running"):
        asyncio.run(knock("http://127.0.0.1:9"))


def test_a_refused_secret_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match="refused the secret"):
        against(Endpoint(), lambda url: knock(url, secret="wrong"))


def test_a_path_that_does_not_exist_is_one_clear_error() -> None:
    with pytest.raises(SimulatorError, match="HTTP 404"):
        against(Endpoint(), lambda url: knock(url, tenant="nobody"))


def test_the_first_knock_touches_nothing() -> None:
    service = Endpoint()
    against(service, knock)
    assert service.bodies == []


def report(**fields: Any) -> Report:
    return Report(
        run="r",
        seed=1,
        orders=1,
        connected_orders=1,
        troubled_orders=0,
        events=1,
        posts=1,
        spooled=0,
        watched_orders=1,
        outcomes={"accepted": 1},
        failed_attempts={},
        sending_seconds=0.5,
        settling_seconds=0.1,
        post_ms=Percentiles.of_seconds([0.001 * n for n in range(1, 101)]),
        visible_ms=Percentiles.of_seconds([]),
        **fields,
    )


def test_percentiles_are_figures_that_occurred() -> None:
    assert report().post_ms == Percentiles(100, 50.0, 90.0, 99.0, 100.0)
    assert Percentiles.of_seconds([0.002]) == Percentiles(1, 2.0, 2.0, 2.0, 2.0)
    assert report().visible_ms == Percentiles(0)


def test_a_report_is_ok_without_differences_and_losses() -> None:
    assert report().ok
    assert not report(differences=(Difference("r", "status", "shipped", "[red]printed"),)).ok
    assert not report(given_up=(GivenUp("r", 2),)).ok


def test_a_report_reads_as_a_table_and_as_json() -> None:
    wrong = report(differences=(Difference("r[bold]", "status", "shipped", None),) * 30, given_up=(GivenUp("lost", 2),))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(wrong)
    text = console.export_text()
    assert "r[bold]: status: expected 'shipped', found None" in text  # data is no markup
    assert "and 10 more" in text
    assert "lost: 2 event(s)" in text
    plain = orjson.loads(orjson.dumps(wrong.to_dict()))
    assert plain["ok"] is False
    assert plain["postMs"]["p99"] == 99.0
    assert plain["differences"][0] == {
        "reference": "r[bold]",
        "path": "status",
        "expected": "shipped",
        "found": None,
    }
