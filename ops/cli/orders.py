"""`gelato-rollup orders`: look at orders, and what operators do to them."""

import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import orjson

from ops import listing, tree
from ops.cli.common import (
    DONE,
    FOUND_SOMETHING_WRONG,
    USAGE,
    as_json,
    command,
    confirm,
    err,
    fail,
    nothing_found,
    of_tenant,
    open_store,
    out,
    print_json,
    progress,
    settings_in_force,
)
from ops.erase import erase_all
from shared import history, statuses, tenants
from shared.reader import Reader
from shared.store import Store
from shared.store import orders as stored_orders
from shared.store.search import Flag
from worker.rebuild import Busy, CannotFold
from worker.rebuild import rebuild as rebuild_one
from worker.shift import policy_of


@click.group()
def orders() -> None:
    """Look at orders: show, list, find, watch, events. Mend them: rebuild, close, erase."""


@orders.command()
@click.argument("reference")
@of_tenant
@as_json
@command
def show(reference: str, tenant: str, as_json: bool) -> None:
    """Draw one order: connected orders, items, parcels, what needs attention."""
    settings = settings_in_force()
    with open_store(settings) as store:
        raw = store.run(stored_orders.document(tenant, reference))
    if raw is None:
        nothing_found(f"no order {reference!r} of tenant {tenant}", tenant, settings)
    if as_json:
        print_json(orjson.loads(raw))
    else:
        out.print(tree.draw(orjson.loads(raw)))


@orders.command(name="list")
@of_tenant
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.option("--status", default=None, help="Only orders of this status.")
@click.option("--attention", is_flag=True, help="Only orders for which somebody must act.")
@click.option("--open", "only_open", is_flag=True, help="Only orders that are not terminal.")
@click.option("--incomplete", is_flag=True, help="Only orders of which a connected order has not been heard.")
@click.option("--disagrees", is_flag=True, help="Only orders whose lines say otherwise than Gelato's last word.")
@click.option(
    "--idle",
    "idle_hours",
    type=click.FloatRange(0),
    help="Only open orders silent for so many hours; the longest first.",
)
@as_json
@command
def list_(
    tenant: str,
    limit: int,
    status: str | None,
    attention: bool,
    only_open: bool,
    incomplete: bool,
    disagrees: bool,
    idle_hours: float | None,
    as_json: bool,
) -> None:
    """List orders, those that changed last first."""
    asked = {
        Flag.OPEN: only_open or idle_hours is not None,
        Flag.ATTENTION: attention,
        Flag.INCOMPLETE: incomplete,
        Flag.DISAGREES: disagrees,
    }
    flags = [flag for flag, wanted in asked.items() if wanted]
    before_ms = None if idle_hours is None else int(time.time() * 1000 - idle_hours * 3_600_000)
    with open_store(settings_in_force()) as store:
        meant = None if status is None else statuses.normalise(status)
        documents = listing.listed(store, tenant, status=meant, flags=flags, idle_before_ms=before_ms)
        _print_list(list(itertools.islice(documents, limit)), as_json)


@orders.command()
@click.argument("text")
@of_tenant
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000), help="At most so many.")
@as_json
@command
def find(text: str, tenant: str, limit: int, as_json: bool) -> None:
    """Find orders by reference, Gelato order id or tracking code; else the newest with this item."""
    with open_store(settings_in_force()) as store:
        documents = listing.found(store, tenant, text, limit)
    _print_list(documents, as_json)
    if not documents:
        sys.exit(FOUND_SOMETHING_WRONG)


def _print_list(documents: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(documents)
    elif documents:
        out.print(tree.table(documents))
    else:
        err.print("no such orders", highlight=False)


@orders.command()
@click.argument("reference", required=False)
@of_tenant
@as_json
@command
def watch(reference: str | None, tenant: str, as_json: bool) -> None:
    """Follow the changes as they come, of one order or of all; Ctrl-C ends it."""
    settings = settings_in_force()
    reader = Reader(settings.where())
    try:
        for change in reader.follow():
            if change["tenant"] != tenant or reference not in (None, change["orderReferenceId"]):
                continue
            if as_json:
                sys.stdout.write(orjson.dumps(change).decode() + "\n")
                sys.stdout.flush()
            else:
                out.print(tree.change(change))
    except KeyboardInterrupt:
        sys.exit(DONE)
    finally:
        reader.close()


@orders.command()
@click.argument("reference")
@of_tenant
@as_json
@command
def events(reference: str, tenant: str, as_json: bool) -> None:
    """Show the raw events of one order by their time of receipt."""
    settings = settings_in_force()
    with open_store(settings) as store:
        log = store.run(stored_orders.log(tenant, reference))
    if not log:
        nothing_found(f"no order {reference!r} of tenant {tenant}", tenant, settings)
    if as_json:
        print_json(history.as_json(history.explained(tenant, reference, log)))
    else:
        out.print(tree.events(history.explained(tenant, reference, log)))


@orders.command()
@click.argument("references", nargs=-1)
@of_tenant
@click.option("--all", "all_orders", is_flag=True, help="All orders of all tenants.")
@as_json
@command
def rebuild(references: tuple[str, ...], tenant: str, all_orders: bool, as_json: bool) -> None:
    """Rebuild documents from their event logs. Changes nothing where the fold was right."""
    if bool(references) == all_orders:
        fail("name some references, or say --all", USAGE)
    settings = settings_in_force()
    policy = policy_of(settings)
    rebuilt = 0
    changed: list[dict[str, str]] = []
    left: list[dict[str, str]] = []
    unknown: list[str] = []
    with open_store(settings) as store, progress() as bar:
        names = sorted(tenants.load(settings).by_name) if all_orders else [tenant]
        total = sum(store.run(stored_orders.count(name)) for name in names) if all_orders else len(references)
        task = bar.add_task("rebuilding", total=total)
        for name in names:
            for reference in _all_references(store, name) if all_orders else references:
                bar.advance(task)
                try:
                    result = rebuild_one(store, name, reference, policy)
                except (CannotFold, Busy) as error:
                    left.append({"tenant": name, "orderReferenceId": reference, "why": str(error)})
                    continue
                if result is None:
                    unknown.append(reference)
                    continue
                rebuilt += 1
                if result:
                    changed.append({"tenant": name, "orderReferenceId": reference})
    if as_json:
        print_json({"rebuilt": rebuilt, "changed": changed, "left": left, "unknown": [] if all_orders else unknown})
    else:
        out.print(f"{rebuilt} rebuilt, {len(changed)} changed", highlight=False)
        for each in changed:
            out.print(f"  changed: {each['tenant']} {tree.visible(each['orderReferenceId'])}", markup=False)
        for each in left:
            out.print(f"  left as it is: {tree.visible(each['why'])}", markup=False)
    if left:
        fail(f"{len(left)} left as they are", FOUND_SOMETHING_WRONG)
    if unknown and not all_orders:
        nothing_found(f"unknown: {tree.visible(', '.join(unknown))}", tenant, settings)


@orders.command()
@click.argument("references", nargs=-1, required=True)
@of_tenant
@command
def close(references: tuple[str, ...], tenant: str) -> None:
    """Mark orders that will never end by themselves as done, until another event of theirs is received."""
    unknown = []
    settings = settings_in_force()
    with open_store(settings) as store:
        for reference in references:
            if store.run(stored_orders.close(tenant, reference, time.time_ns() // 1000)):
                out.print(f"closed: {tree.visible(reference)}", markup=False, highlight=False)
            else:
                unknown.append(reference)
    if unknown:
        nothing_found(f"unknown: {tree.visible(', '.join(unknown))}", tenant, settings)


@orders.command()
@click.argument("reference", required=False)
@of_tenant
@click.option("--whole-tenant", is_flag=True, help="All orders of the tenant.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def erase(reference: str | None, tenant: str, whole_tenant: bool, yes: bool) -> None:
    """Remove an order, or all of a tenant's, without a trace: documents, events, changes, dead letters, spooled events.

    What is received afterwards is a new order.
    """
    if (reference is None) != whole_tenant:
        fail("name one reference, or say --whole-tenant", USAGE)
    what = f"all orders of tenant {tenant}" if whole_tenant else f"order {reference!r} of tenant {tenant}"
    if not yes:
        confirm(f"Erase {what}? This cannot be undone", else_go_on=False)
    settings = settings_in_force()
    with open_store(settings) as store:
        erased = erase_all(store, settings, tenant, reference)
    out.print(f"erased {what}: {erased}", markup=False, highlight=False)
    if erased.left_in_files:
        err.print(f"the server's append-only file holds it until it is rewritten: {erased.left_in_files}", markup=False)
    if not erased.anything:
        nothing_found(f"nothing was found of {what}", tenant, settings)


def _all_references(store: Store, tenant: str) -> Iterator[str]:
    cursor: int | None = None
    seen: set[str] = set()
    while cursor != 0:
        cursor, references = store.run(stored_orders.references(tenant, cursor or 0))
        for reference in references:
            if reference not in seen:
                seen.add(reference)
                yield reference
