"""`gelato-rollup dead-letters`: what could not be used, and what operators do about it."""

import signal
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any

import click
import orjson

from ops import letters as drawing
from ops import mending
from ops.cli.common import (
    FOUND_SOMETHING_WRONG,
    USAGE,
    as_json,
    command,
    confirm,
    err,
    fail,
    open_store,
    out,
    print_each,
    print_json,
    progress,
    settings_in_force,
)
from ops.cli.replays import replay, replays
from ops.cli.selecting import mend_lists, operator, selecting, selection_of
from ops.tree import visible
from shared import letters as describing
from shared.stop import StopFlag
from shared.store import Store, audit, letter_lists
from shared.store import dead_letters as stored
from shared.store.letter_lists import Counted, Position, Selection

_AT_ONCE = 200


@click.group(name="dead-letters")
def dead_letters() -> None:
    """See what could not be used (list, show), and replay, discard, export, import it; who did what (audit, replays)."""


dead_letters.add_command(replay)
dead_letters.add_command(replays)


@dead_letters.command(name="list")
@selecting
@click.option("--each", is_flag=True, help="Each letter, not the groups.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@as_json
@command
def list_(each: bool, limit: int, as_json: bool, **narrowed: Any) -> None:
    """List dead letters by cause: reason and detail, those seen last first. With an order or a time: each letter."""
    selection = selection_of(narrowed)
    with open_store(settings_in_force()) as store:
        mend_lists(store)
        meant, dropped = store.run(letter_lists.selected(selection)), store.run(stored.dropped())
        everything = Counted(store.run(letter_lists.count()), True)
        if each or narrowed["order"] or narrowed["since"] or narrowed["until"]:
            found = [describing.described(letter) for letter in _letters(store, selection, limit)]
            content: dict[str, Any] = {"deadLetters": found}
            table = drawing.letters_table(found)
        else:
            groups = store.run(letter_lists.groups(selection, limit))
            content = {"groups": [describing.described_group(group) for group in groups]}
            table = drawing.groups_table(content["groups"])
    if as_json:
        print_json({**content, **describing.described_number("total", meant), "dropped": dropped})
        return
    if table.row_count:
        out.print(table)
        of_all = "in all" if selection == Selection() else f"meant, of {everything.number} in all"
        err.print(f"{drawing.counted(meant)} {of_all}", highlight=False)
    else:
        there = everything.number > 0
        err.print(
            f"none of the {drawing.counted(everything)} is meant by these options" if there else "no dead letters",
            highlight=False,
        )
    for reason, number in dropped.items():
        err.print(f"{number} more of {reason} were not kept: GELATO_MAX_DEAD_LETTERS was reached", style="red")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
@command
def show(letter_id: str, as_json: bool) -> None:
    """Show one dead letter: what is wrong with it, its payload, its traceback."""
    with open_store(settings_in_force()) as store:
        letter = store.run(stored.one(letter_id))
    if letter is None:
        fail(f"no dead letter {visible(letter_id)}: replayed or discarded meanwhile?", FOUND_SOMETHING_WRONG)
    described = describing.described(letter)
    if as_json:
        print_json(described)
    else:
        out.print(drawing.drawn(described))


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@selecting
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--because", required=True, help="Why: kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal needed for all but named ids.")
@as_json
@command
def discard(ids: tuple[str, ...], everything: bool, because: str, yes: bool, as_json: bool, **narrowed: Any) -> None:
    """Delete dead letters for good. Events that were parked stay out of their orders' documents."""
    selection = selection_of(narrowed)
    if [bool(ids), everything, any(narrowed.values())].count(True) != 1:
        fail("name some ids, or select by options, or say --all: one of them", USAGE)
    with open_store(settings_in_force()) as store:
        selected = Counted(len(ids), True) if ids else store.run(letter_lists.selected(selection))
        if not yes:  # before the progress bar, which would draw over the question
            confirm(f"Discard {drawing.counted(selected)}? This cannot be undone", else_go_on=bool(ids))
        what: dict[str, Any] = {"reason": because} | (
            {"ids": list(ids)} if ids else {"selection": describing.described_selection(selection)}
        )
        store.run(audit.note(operator(), "discard", what))
        stop = StopFlag()  # the lot on its way is done first, and counted: what is gone is gone
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        gone = _discarded(store, ids, selection, selected.number, stop)
        store.run(audit.note(operator(), "discarded", what, {"discarded": gone}))
        left = store.run(letter_lists.selected(selection)).number if stop.is_set() and not ids else len(ids) - gone
    if as_json:
        print_json({"discarded": gone, "left": left} if stop.is_set() else {"discarded": gone})
    else:
        out.print(f"{gone} discarded", highlight=False)
    if stop.is_set() and left:
        fail(f"stopped: {left} left; the same command goes on", FOUND_SOMETHING_WRONG)
    if gone < len(ids):
        fail(f"{len(ids) - gone} were not there", FOUND_SOMETHING_WRONG)


@dead_letters.command(name="export")
@selecting
@click.option("--output", type=click.File("wb"), default="-", help="Where to; standard output without it.")
@command
def export(output: IO[bytes], **narrowed: Any) -> None:
    """Write dead letters as JSON Lines, oldest first: to be mended in an editor, and imported."""
    selection = selection_of(narrowed)
    with open_store(settings_in_force()) as store, progress() as bar:
        mend_lists(store)
        task = bar.add_task("exporting", total=store.run(letter_lists.selected(selection)).number)
        number = 0
        for letter in _letters(store, selection, None, oldest_first=True):
            output.write(orjson.dumps(describing.described(letter), option=orjson.OPT_APPEND_NEWLINE))
            number += 1
            bar.advance(task)
        output.flush()
        what = {"selection": describing.described_selection(selection)}
        store.run(audit.note(operator(), "export", what, {"exported": number}))


@dead_letters.command(name="import")
@click.argument("file", type=click.File("rb"))
@as_json
@command
def import_(file: IO[bytes], as_json: bool) -> None:
    """Send mended dead letters, as `export` wrote them, through the same door as new events.

    Each keeps its first time of receipt; the letter leaves once the mended event is folded. A line that cannot be used
    changes nothing, and is named.
    """
    with open_store(settings_in_force()) as store, progress() as bar:
        task = bar.add_task("sending", total=None)
        store.run(audit.note(operator(), "import", {"file": visible(file.name)}))
        done = mending.send_lines(store, file, lambda lines: bar.advance(task, lines))
        counts = {fate.value: number for fate, number in done.counts.items()}
        outcome = counts | ({"unusable": len(done.problems)} if done.problems else {})
        store.run(audit.note(operator(), "imported", {"file": visible(file.name)}, outcome))
    if as_json:
        print_json({"counts": counts, "problems": [{"line": n, "problem": text} for n, text in done.problems]})
    else:
        out.print(drawing.summary(counts))
    for number, problem in done.problems:
        err.print(f"line {number}: {visible(problem)}", style="red", markup=False, highlight=False, soft_wrap=True)
    if done.problems or any(counts.get(fate) for fate in ("dead", "unreplayable")):
        sys.exit(FOUND_SOMETHING_WRONG)


@dead_letters.command(name="audit")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@as_json
@command
def audit_(limit: int, as_json: bool) -> None:
    """List who did what with dead letters, newest first."""
    with open_store(settings_in_force()) as store:
        found = [describing.described_deed(deed) for deed in store.run(audit.latest(limit))]
    print_each(found, _told, as_json=as_json)


def _told(deed: Mapping[str, Any]) -> str:
    what, outcome = orjson.dumps(deed["what"]).decode(), orjson.dumps(deed["outcome"]).decode()
    line = f"{deed['at']}  {visible(deed['who'])}  {deed['action']}  {visible(what)}"
    return line if outcome == "{}" else f"{line}  {outcome}"


def _discarded(store: Store, ids: tuple[str, ...], selection: Selection, selected: int, stop: StopFlag) -> int:
    """Delete letters, lot by lot, until asked to stop; how many there were."""
    gone = 0
    lots = (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)) if ids else _ids(store, selection)
    with progress() as bar:
        task = bar.add_task("discarding", total=selected)
        for lot in lots:
            gone += sum(letter is not None for letter in store.run(stored.remove(lot)))
            bar.advance(task, len(lot))
            if stop.is_set():
                break
    return gone


def _letters(
    store: Store, selection: Selection, limit: int | None, *, oldest_first: bool = False
) -> Iterator[stored.Letter]:
    after: Position | None = None
    number = 0
    while limit is None or number < limit:
        at_once = _AT_ONCE if limit is None else min(_AT_ONCE, limit - number)
        page = store.run(letter_lists.page(selection, after, at_once, oldest_first=oldest_first))
        yield from page.letters
        number += len(page.letters)
        after = page.after
        if after is None:
            break


def _ids(store: Store, selection: Selection) -> Iterator[list[str]]:
    after: Position | None = None
    while True:
        page = store.run(letter_lists.page(selection, after, _AT_ONCE, oldest_first=True, whole=False))
        if page.letters:
            yield [letter.id for letter in page.letters]
        after = page.after
        if after is None:
            break
