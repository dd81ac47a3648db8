"""`gelato-rollup reconcile`: ask the order API about orders that webhooks have left in doubt."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from ops import secrets, tree
from ops.cli.common import FOUND_SOMETHING_WRONG, USAGE, as_json, command, fail, out, print_json, progress
from shared import log, patience, tenants
from shared.clock import parse_time
from shared.durations import seconds_of
from shared.errors import ConfigurationError, OrderApiError
from shared.orderapi import OrderApis
from shared.patience import Patience
from shared.settings import DEFAULT_TENANT, Settings
from shared.store import AsyncStore, reconciling
from shared.store.reconciling import Counts
from shared.tenants import Tenant, Tenants
from worker import by_hand
from worker.asking import Lot
from worker.by_hand import Taken, Wish
from worker.findings import WHOLE, Candidate, Plan, Stage
from worker.reconcile import Reconciliation


class _Done(NamedTuple):
    counts: dict[str, Counts]
    missing: list[str]
    troubles: dict[str, str]


def _length(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else seconds_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """A date, a time, or how long ago, as milliseconds."""
    if text is None:
        return None
    moment = parse_time(text)
    if moment is None:
        try:
            moment = int((time.time() - seconds_of(text)) * 1_000_000)
        except ValueError:
            raise click.BadParameter("must be a date (2026-11-01), a time (ISO 8601), or how long ago (30d)") from None
    return moment // 1000


@click.command()
@click.argument("references", nargs=-1)
@click.option("--tenant", default=None, help="Whose orders. Without it: all tenants with an order API, or `default`.")
@click.option("--stale", callback=_length, metavar="LENGTH", help="Open orders that have been silent so long: 6h, 2d.")
@click.option(
    "--since", callback=_moment, metavar="WHEN", help="Orders placed since a date, or so long ago, known or not."
)
@click.option("--incomplete", is_flag=True, help="Orders of which a connected order has not been heard of.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked about, and ask nothing.")
@as_json
@command
def reconcile(
    references: tuple[str, ...],
    tenant: str | None,
    stale: float | None,
    since: int | None,
    incomplete: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask the order API about orders, and fold what it knows better.

    With REFERENCE...: about these. Without anything: a whole round, as the workers do by themselves now and then.
    """
    if references and (stale is not None or since is not None or incomplete):
        fail("name some references, or say which orders to look for; not both", USAGE)
    settings = secrets.with_generated(Settings.from_environment())
    # A line for each call to the API would be in the way of who waits; LOG_LEVEL brings them back.
    log.configure(settings.log_level if os.environ.get("LOG_LEVEL") else "warning", settings.log_format)
    known = tenants.load(settings)
    chosen = _chosen(known, tenant, by_reference=bool(references), dry_run=dry_run)
    wish = Wish(references, _plan(settings, stale, since, incomplete=incomplete))
    if dry_run:
        _show_found(asyncio.run(_look(settings, chosen, wish)), as_json=as_json)
        return
    with progress() as bar:
        task = bar.add_task("asking", total=len(references) or None)
        done = asyncio.run(_carry_out(settings, known, chosen, wish, lambda lot: bar.advance(task, len(lot.looked_at))))
    _show_done(done, as_json=as_json)
    for name, trouble in done.troubles.items():
        fail(f"tenant {name}: {trouble}", FOUND_SOMETHING_WRONG)
    if done.missing:
        fail(f"the order API does not know: {tree.visible(', '.join(done.missing))}", FOUND_SOMETHING_WRONG)


def _plan(settings: Settings, stale: float | None, since: int | None, *, incomplete: bool) -> Plan:
    if stale is None and since is None and not incomplete:
        return Plan(WHOLE, patience.read(settings.reconcile_after), minds_quiet=False)
    wanted = {Stage.SILENT: stale is not None, Stage.SINCE: since is not None, Stage.INCOMPLETE: incomplete}
    stages = tuple(sorted(stage for stage, is_wanted in wanted.items() if is_wanted))
    return Plan(stages, Patience({"incomplete": 0.0, "other": stale or 0.0}), minds_quiet=False, since_ms=since or 0)


def _chosen(known: Tenants, name: str | None, *, by_reference: bool, dry_run: bool) -> list[Tenant]:
    if name is None and not by_reference:
        found = [each for each in known if dry_run or each.api.key is not None]
        if not found:
            raise ConfigurationError("no tenant has an order API: set GELATO_API_KEY, or `api` in GELATO_TENANTS_FILE")
        return found
    tenant = known.by_name.get(name or DEFAULT_TENANT)
    if tenant is None:
        raise ConfigurationError(f"there is no tenant {name!r}")
    if tenant.api.key is None and not dry_run:
        raise ConfigurationError(f"tenant {tenant.name} has no order API: set GELATO_API_KEY, or its `api` in the file")
    return [tenant]


async def _carry_out(
    settings: Settings, known: Tenants, chosen: Sequence[Tenant], wish: Wish, told: Callable[[Lot], None]
) -> _Done:
    done = _Done({}, [], {})
    store = AsyncStore.from_url(settings.where(), timeout_seconds=10.0)
    try:
        async with OrderApis(store, settings) as apis:
            reconciliation = Reconciliation(store, apis, settings, known, lambda: False)
            for tenant in chosen:
                total = Counts()

                def heard(lot: Lot) -> None:
                    nonlocal total
                    total = total.plus(lot.counts)
                    told(lot)

                try:
                    _, missing = await by_hand.carry_out(store, tenant.name, reconciliation.healer(tenant), wish, heard)
                    done.missing.extend(sorted(missing))
                except (OrderApiError, Taken) as error:
                    done.troubles[tenant.name] = str(error)
                done.counts[tenant.name] = total
    finally:
        await store.close()
    return done


async def _look(settings: Settings, chosen: Sequence[Tenant], wish: Wish) -> list[tuple[str, Candidate]]:
    store = AsyncStore.from_url(settings.where(), timeout_seconds=10.0)
    try:
        return [(each.name, found) for each in chosen async for found in by_hand.look(store, each.name, wish)]
    finally:
        await store.close()


def _show_done(done: _Done, *, as_json: bool) -> None:
    total = reconciling.total(done.counts)
    if as_json:
        by_tenant = {name: _as_json(counts) for name, counts in done.counts.items()}
        print_json({**_as_json(total), "tenants": by_tenant, "unknown": done.missing, "troubles": done.troubles})
        return
    for name, counts in done.counts.items():
        per_order = f" ({counts.gets / counts.healed:.2f} gets per healed order)" if counts.healed else ""
        out.print(
            f"{name}: {counts.looked_at} orders looked at, {counts.healed} healed; "
            f"{counts.searches} searches, {counts.gets} gets{per_order}; {counts.missing} unknown to the order API",
            markup=False,
            highlight=False,
        )


def _as_json(counts: Counts) -> dict[str, Any]:
    per_order = round(counts.gets / counts.healed, 3) if counts.healed else None
    return {
        "lookedAt": counts.looked_at,
        "healed": counts.healed,
        "searches": counts.searches,
        "gets": counts.gets,
        "getsPerHealed": per_order,
        "unknownToApi": counts.missing,
    }


def _show_found(found: Sequence[tuple[str, Candidate]], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "tenant": name,
                    "orderReferenceId": each.reference or None,
                    "why": each.why,
                    "since": datetime.fromtimestamp(each.since_ms / 1000, UTC).isoformat(timespec="seconds")[:19] + "Z",
                }
                for name, each in found
            ]
        )
        return
    for name, each in found:
        what = tree.visible(each.reference) if each.reference else "all orders"
        out.print(f"{name} {what}: {each.why}", markup=False, highlight=False)
    out.print(f"{len(found)} would be asked about", highlight=False)
