"""`gelato-rollup dead-letters replay`: asks for a replay, follows it, stops it, has it go on."""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.progress import Progress

from ops import letters as drawing
from ops.cli.common import (
    FOUND_SOMETHING_WRONG,
    USAGE,
    as_json,
    command,
    confirm,
    fail,
    open_store,
    out,
    print_each,
    print_json,
    progress,
    settings_in_force,
)
from ops.cli.selecting import mend_lists, operator, selecting, selection_of
from ops.tree import visible
from shared import letters as describing
from shared.store import Store, audit, letter_lists, replay_runs
from shared.store.letter_lists import Counted, Selection
from shared.store.replay_runs import RUNNING, Run

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@selecting
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--dry-run", is_flag=True, help="Only say how many would be replayed.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nobody is asked: a replay can do no harm.")
@click.option("--resume", "run_id", default=None, help="Follow a replay that was interrupted, and have it go on.")
@as_json
@command
def replay(
    ids: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    run_id: str | None,
    as_json: bool,
    **narrowed: Any,
) -> None:
    """Send dead letters through the same door as new events, with their first time of receipt.

    Workers carry it on; this follows them. Ctrl-C stops the replay, and `--resume` has it go on where it was.
    """
    selection = selection_of(narrowed)
    given = [bool(ids), everything, run_id is not None, any(narrowed.values())]
    if sum(given) != 1:
        fail("name some ids, or select by options, or say --all, or --resume a replay: one of them", USAGE)
    if len(ids) > replay_runs.MAX_IDS:
        fail(f"at most {replay_runs.MAX_IDS} ids: select by options instead", USAGE)
    with open_store(settings_in_force()) as store:
        if run_id is not None:
            run = _resumed(store, run_id)
        else:
            mend_lists(store)
            selected = Counted(len(ids), True) if ids else store.run(letter_lists.selected(selection))
            if dry_run:
                _say_selected(store, selection, selected, ids, as_json=as_json)
                return
            if not yes:
                confirm(f"Replay {drawing.counted(selected)}?", else_go_on=True)
            # An interruption waits until there is a replay that it can stop.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            run = store.run(describing.ask_for_replay(operator(), selection, selected.number, ids))
        run = _follow(store, run)
    if as_json:
        print_json(describing.described_run(run))
    else:
        out.print(drawing.summary(run.counts))
    if any(run.counts.get(fate) for fate in ("dead", "unreplayable")):
        sys.exit(FOUND_SOMETHING_WRONG)


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000), help="At most so many.")
@as_json
@command
def replays(limit: int, as_json: bool) -> None:
    """List replays, the latest first: how far each is, and what became of its letters."""
    with open_store(settings_in_force()) as store:
        found = [describing.described_run(run) for run in store.run(replay_runs.latest(limit))]
    print_each(found, _told, as_json=as_json)


def _told(run: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{number} {fate}" for fate, number in run["counts"].items())
    line = f"{run['startedAt']}  {run['replay']}  {run['state']}  {run['done']}/{run['selected']}  {counts}"
    return f"{line}  by {visible(run['who'])}"


def _say_selected(
    store: Store, selection: Selection, selected: Counted, ids: tuple[str, ...], *, as_json: bool
) -> None:
    groups = [] if ids or selection.order else store.run(letter_lists.groups(selection))
    described = [describing.described_group(group) for group in groups]
    if as_json:
        print_json({**describing.described_number("selected", selected), "dryRun": True, "groups": described})
        return
    if groups:
        out.print(drawing.groups_table(described))
    out.print(f"{drawing.counted(selected)} would be replayed", highlight=False)


def _resumed(store: Store, run_id: str) -> Run:
    run = store.run(replay_runs.one(run_id))
    if run is None:
        fail(f"no replay {visible(run_id)}: see `dead-letters replays`", FOUND_SOMETHING_WRONG)
    if store.run(replay_runs.resume(run.id)):
        store.run(audit.note(operator(), "resume replay", {"replay": run.id}))
    return store.run(replay_runs.one(run.id)) or run


def _follow(store: Store, run: Run) -> Run:
    """Show how far a replay is until it ends. An interruption stops it."""
    with progress() as bar:
        task = bar.add_task("replaying", total=run.selected)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            return _until_it_ends(store, run, lambda now: bar.update(task, completed=sum(now.counts.values())), bar)
        except KeyboardInterrupt:
            if store.run(replay_runs.stop(run.id)):
                store.run(audit.note(operator(), "stop replay", {"replay": run.id}))
            fail(
                f"stopped; to have it go on: gelato-rollup dead-letters replay --resume {run.id}", FOUND_SOMETHING_WRONG
            )


def _until_it_ends(store: Store, run: Run, told: Callable[[Run], None], bar: Progress) -> Run:
    moved = time.monotonic()
    while run.state == RUNNING:
        time.sleep(_LOOK_SECONDS)
        now = store.run(replay_runs.one(run.id)) or run
        told(now)
        if now.counts != run.counts:
            moved = time.monotonic()
        elif time.monotonic() > moved + _PATIENCE_SECONDS:
            bar.console.print("nothing moves: is a worker alive? See `gelato-rollup doctor`", style="yellow")
            moved = time.monotonic() + 60
        run = now
    return run
