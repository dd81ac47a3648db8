"""Reading dead letters: groups, counts, pages, on one server and on a cluster; mending what is out of step."""

import os
import random
import time
from collections.abc import Iterator

import msgspec
import pytest
from support.server import Server
from support.servers import Cluster

from shared.store import Store, dead_letters, keys, letter_index, letter_lists, orders
from shared.store.calls import Call, Step, one
from shared.store.dead_letters import DeadLetter, Letter, bury, remove
from shared.store.letter_lists import Position, Selection

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
#: `make bench-scale` lists 200,000.
LETTERS = int(os.environ.get("LETTERS", "20000"))


@pytest.fixture(params=["server", "cluster"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store on one server, and on a cluster."""
    if request.param == "server":
        server: Server = request.getfixturevalue("server")
        url = server.url
    else:
        cluster: Cluster = request.getfixturevalue("three_nodes")
        cluster.empty()
        url = cluster.url
    store = Store.from_url(url)
    yield store
    store.close()


def letter(n: int, **more: object) -> DeadLetter:
    found = DeadLetter(
        f"{n:032x}", "default", "invalid-event", "orderId: missing", b"body %d" % n, BEGIN + n * SECOND, f"order-{n}"
    )
    return found._replace(**more)


def all_pages(store: Store, selection: Selection, limit: int, *, oldest_first: bool = False) -> list[Letter]:
    found: list[Letter] = []
    after: Position | None = None
    while True:
        page = store.run(letter_lists.page(selection, after, limit, oldest_first=oldest_first))
        assert len(page.letters) <= limit
        found += page.letters
        after = page.after
        if after is None:
            return found


def test_groups_tell_one_cause_from_another(anywhere: Store) -> None:
    for n in range(6):
        anywhere.run(bury(letter(n)))
    anywhere.run(bury(letter(6, reason="unknown-event", detail="event: unknown name 'x'")))
    anywhere.run(bury(letter(7, tenant="acme")))
    anywhere.run(bury(letter(3, received=BEGIN + 60 * SECOND)))  # the same body again
    groups = anywhere.run(letter_lists.groups())
    assert [(g.cause.tenant, g.cause.reason, g.cause.detail, g.count) for g in groups] == [
        ("default", "invalid-event", "orderId: missing", 6),
        ("acme", "invalid-event", "orderId: missing", 1),
        ("default", "unknown-event", "event: unknown name 'x'", 1),
    ]
    assert (groups[0].first_ms, groups[0].last_ms) == (BEGIN // 1000, BEGIN // 1000 + 60_000)
    assert anywhere.run(letter_lists.counts()) == {
        ("default", "invalid-event"): 6,
        ("default", "unknown-event"): 1,
        ("acme", "invalid-event"): 1,
    }
    assert anywhere.run(letter_lists.in_step())
    found = anywhere.run(dead_letters.one(f"{3:032x}"))
    assert found is not None
    assert (found.count, found.received, found.last_seen) == (2, BEGIN + 3 * SECOND, BEGIN + 60 * SECOND)


def test_every_selection_is_paged_without_gap_or_repeat(anywhere: Store) -> None:
    chance = random.Random(5)
    kept = []
    for n in range(120):
        kept.append(
            letter(
                n,
                id=f"{chance.getrandbits(128):032x}",
                tenant=chance.choice(["default", "acme"]),
                reason=chance.choice(["invalid-event", "fold-error"]),
                detail=chance.choice(["a: missing", "B: missing", "C"]),
                received=BEGIN + chance.randrange(20) * SECOND // 10,  # many of one millisecond
                reference=chance.choice(["x", "y/ü", None]),
            )
        )
        anywhere.run(bury(kept[-1]))
    group = anywhere.run(letter_lists.groups())[0].id
    selections = [
        Selection(),
        Selection(tenant="acme"),
        Selection(reason="fold-error"),
        Selection(tenant="default", reason="fold-error"),
        Selection(detail="MISSING"),
        Selection(group=group),
        Selection(tenant="acme", order="y/ü"),
        Selection(tenant="acme", order="x", reason="fold-error"),
        Selection(since=BEGIN + SECOND // 2, until=BEGIN + SECOND),
        Selection(reason="fold-error", since=BEGIN + SECOND // 2),
        Selection(since=BEGIN + 1, until=BEGIN + SECOND + 1),
        Selection(tenant="nobody"),
    ]
    for selection in selections:
        wanted = {
            each.id
            for each in kept
            if selection.tenant in (None, each.tenant)
            and selection.reason in (None, each.reason)
            and selection.order in (None, each.reference)
            and (selection.detail is None or selection.detail.lower() in each.detail.lower())
            and selection.group in (None, letter_index.Cause(each.tenant, each.reason, each.detail).group)
            and (selection.since or 0) <= each.received <= (selection.until or 1 << 62)
        }
        assert anywhere.run(letter_lists.selected(selection)) == (len(wanted), True)
        for rising in (False, True):
            found = all_pages(anywhere, selection, 7, oldest_first=rising)
            order = [(each.received // 1000, each.id) for each in found]
            assert order == sorted(order, reverse=not rising)
            assert len(found) == len(wanted)
            assert {each.id for each in found} == wanted


def test_groups_count_the_letters_of_the_times_that_are_asked_for(anywhere: Store) -> None:
    for n in range(6):
        anywhere.run(bury(letter(n, reason="fold-error" if n % 2 else "invalid-event")))
    found = anywhere.run(letter_lists.groups(Selection(since=BEGIN + 2 * SECOND, until=BEGIN + 4 * SECOND)))
    seen = {group.cause.reason: (group.count, group.first_ms * 1000) for group in found}
    assert seen == {"invalid-event": (2, BEGIN + 2 * SECOND), "fold-error": (1, BEGIN + 3 * SECOND)}


def test_a_number_that_only_looking_tells_is_exact_up_to_a_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(30):
        store.run(bury(letter(n, reference="R", reason="fold-error" if n % 3 else "invalid-event")))
    some = Selection(tenant="default", order="R", reason="invalid-event")
    assert store.run(letter_lists.selected(some)) == (10, True)
    monkeypatch.setattr(letter_lists, "_LOOK_AT_MOST", 20)
    assert store.run(letter_lists.selected(some)) == (30, False)
    assert store.run(letter_lists.selected(some._replace(reason=None))) == (30, True)


def test_a_removed_letter_is_in_no_list(anywhere: Store) -> None:
    for n in range(3):
        anywhere.run(bury(letter(n)))
    before = anywhere.run(remove([letter(0).id, letter(1).id, "f" * 32]))
    assert [each and each.reference for each in before] == ["order-0", "order-1", None]
    assert [each.id for each in all_pages(anywhere, Selection(), 10)] == [letter(2).id]
    assert all_pages(anywhere, Selection(tenant="default", order="order-0"), 10) == []
    assert [group.count for group in anywhere.run(letter_lists.groups())] == [1]
    anywhere.run(remove([letter(2).id]))
    assert anywhere.run(letter_lists.groups()) == []
    assert anywhere.run(letter_index.causes()) == {}


def test_an_erased_order_leaves_no_letter_in_any_list(anywhere: Store) -> None:
    anywhere.run(bury(letter(1)))
    anywhere.run(bury(letter(2)))
    assert anywhere.run(orders.erase_letters("default", "order-1")) == (0, 1)
    assert [each.id for each in all_pages(anywhere, Selection(), 10)] == [letter(2).id]
    assert all_pages(anywhere, Selection(tenant="default", order="order-1"), 10) == []
    assert anywhere.run(letter_lists.in_step())


def test_an_order_that_is_erased_leaves_no_key_that_names_it(server: Server, store: Store) -> None:
    store.run(bury(letter(1)))
    store.run(orders.erase_letters("default", "order-1"))
    assert server.client.keys("*order-1*") == []


def test_letters_buried_by_an_older_version_are_listed_by_mending(anywhere: Store) -> None:
    for n in range(3):
        fields = {"tenant": "default", "reason": "fold-error", "detail": "KeyError: 1", "attempts": 5, "count": 1}
        fields |= {"receivedAt": BEGIN + n, "lastSeenAt": BEGIN + n, "cameAs": "webhook", "payload": b"{}"}
        words = tuple(word for field in fields.items() for word in field)
        anywhere.run(_as_is([Call("HSET", (keys.dead_letter(letter(n).id),), words)]))
        anywhere.run(_as_is([Call("ZADD", (keys.DEAD_LETTERS,), ("NX", BEGIN // 1000, letter(n).id))]))
    assert not anywhere.run(letter_lists.in_step())
    assert len(all_pages(anywhere, Selection(), 10)) == 3
    anywhere.run(letter_lists.mend())
    assert anywhere.run(letter_lists.in_step())
    assert [group.count for group in anywhere.run(letter_lists.groups())] == [3]


def test_bytes_that_a_crash_left_counted_are_counted_anew(anywhere: Store) -> None:
    anywhere.run(bury(letter(1)))
    anywhere.run(bury(letter(2)))
    right = anywhere.run(one("GET", keys.DEAD_LETTERS_BYTES))
    anywhere.run(_as_is([Call("INCRBY", (keys.DEAD_LETTERS_BYTES,), (1_000,))]))
    anywhere.run(letter_lists.mend())
    assert anywhere.run(one("GET", keys.DEAD_LETTERS_BYTES)) == right
    anywhere.run(_as_is([Call("INCRBY", (keys.DEAD_LETTERS_BYTES,), (1_000,))]))
    anywhere.run(remove([letter(n).id for n in (1, 2)]))
    assert not anywhere.run(letter_lists.in_step()), "no letters, and yet bytes of them"
    anywhere.run(letter_lists.mend())
    assert anywhere.run(letter_lists.in_step())


def test_lists_that_name_a_letter_which_is_gone_are_mended(anywhere: Store) -> None:
    for n in range(4):
        anywhere.run(bury(letter(n, detail=f"detail {n % 2}")))
    anywhere.run(_as_is([Call("DEL", (keys.dead_letter(letter(n).id),)) for n in (0, 1, 3)]))
    assert [each.id for each in all_pages(anywhere, Selection(detail="detail 0"), 10)] == [letter(2).id]
    anywhere.run(letter_lists.mend())
    assert anywhere.run(letter_lists.in_step())
    assert anywhere.run(letter_lists.count()) == 1
    assert [group.cause.detail for group in anywhere.run(letter_lists.groups())] == ["detail 0"]
    assert len(anywhere.run(letter_index.causes())) == 1


def test_a_letter_whose_fate_changes_moves_to_its_new_group(anywhere: Store) -> None:
    anywhere.run(bury(letter(1, reason="unknown-event", detail="event: unknown name 'x'", reference=None)))
    parked = letter(1, reason="fold-error", detail="KeyError: 7", attempts=5, traceback="Traceback", payload=b"other")
    assert anywhere.run(bury(parked._replace(seen=BEGIN + 90 * SECOND))) == 1
    (group,) = anywhere.run(letter_lists.groups())
    assert (group.cause.reason, group.count, group.last_ms) == ("fold-error", 1, BEGIN // 1000 + 90_000)
    (found,) = all_pages(anywhere, Selection(tenant="default", order="order-1"), 10)
    assert (found.reason, found.attempts, found.traceback) == ("fold-error", 5, "Traceback")
    assert (found.payload, found.count, found.received) == (b"body 1", 1, BEGIN + SECOND)
    assert found.last_seen == BEGIN + 90 * SECOND
    assert anywhere.run(letter_lists.in_step())


def test_more_details_than_there_may_be_groups_are_one_group(store: Store) -> None:
    places = [letter(n, detail=f"name {n}" + "x" * 5_000) for n in range(12)]
    for each in places:
        store.run(bury(each))
    assert len(store.run(letter_index.causes())) == 12
    found = [store.run(dead_letters.one(each.id)) for each in places]
    store.run(letter_index.unplace([each.place for each in found if each]))
    store.run(letter_index.place([(each.place, None) for each in found if each], most_groups=5))
    groups = {group.cause.detail: group.count for group in store.run(letter_lists.groups())}
    assert groups.pop(None) == 7
    assert set(groups.values()) == {1}
    assert all(detail is not None and len(detail) == letter_index.MAX_DETAIL for detail in groups)
    assert [each.id for each in all_pages(store, Selection(detail="name 11"), 50)] == [places[11].id]
    store.run(remove([each.id for each in places]))
    assert store.run(letter_index.causes()) == {}


def test_a_page_of_long_payloads_ends_early(store: Store) -> None:
    for n in range(9):
        store.run(bury(letter(n, payload=b"x" * 1_000_000)))
    page = store.run(letter_lists.page(limit=50))
    assert len(page.letters) == 4
    assert len(all_pages(store, Selection(), 50)) == 9
    brief = store.run(letter_lists.page(limit=50, whole=False))
    assert [each.payload for each in brief.letters] == [None] * 9


def test_many_letters_are_listed_in_under_a_second(server: Server, store: Store) -> None:
    _bury_many(server, LETTERS)
    assert store.run(letter_lists.in_step())
    for look in (
        lambda: store.run(letter_lists.groups()),
        lambda: store.run(letter_lists.counts()),
        lambda: store.run(letter_lists.page()),
        lambda: store.run(letter_lists.page(Selection(reason="invalid-event"), Position(BEGIN // 1000 + 9_999, "8"))),
        lambda: store.run(letter_lists.page(Selection(tenant="default", order="order-777"))),
    ):
        began = time.monotonic()
        assert look()
        assert time.monotonic() - began < 1.0


def _as_is(step: Step) -> Iterator[Step]:
    yield step


#: As `bury` would leave letters. KEYS: all, groups, causes; ARGV: first, one behind the last, time of receipt (ms),
#: keys of letters and of groups up to their ids, then per group its id and cause.
_BURY_MANY = """
local groups = (#ARGV - 5) / 2
for n = 0, groups - 1 do
  redis.call('HSET', KEYS[3], ARGV[6 + 2 * n], ARGV[7 + 2 * n])
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[6 + 2 * n])
end
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local id, at = string.format('%032x', n), ARGV[3] + n % 20000
  redis.call('HSET', ARGV[4] .. '{' .. id .. '}', 'tenant', 'default', 'reason', 'invalid-event',
             'detail', 'detail ' .. n % groups, 'receivedAt', string.format('%.0f', at * 1000))
  redis.call('ZADD', KEYS[1], at, id)
  redis.call('ZADD', ARGV[5] .. ARGV[6 + 2 * (n % groups)], at, id)
end
"""


def _bury_many(server: Server, number: int) -> None:
    """Letters of 300 causes."""
    causes = [letter_index.Cause("default", "invalid-event", f"detail {n}") for n in range(300)]
    told = [word for cause in causes for word in (cause.group, msgspec.json.encode(cause))]
    prefixes = keys.dead_letter("").removesuffix("{}"), keys.dead_letter_group("")
    lists = keys.DEAD_LETTERS, keys.DEAD_LETTER_GROUPS, keys.DEAD_LETTER_CAUSES
    for first in range(0, number, 20_000):
        server.client.eval(_BURY_MANY, 3, *lists, first, first + 20_000, BEGIN // 1000, *prefixes, *told)
    server.client.zadd(keys.dead_letters_of("default/order-777"), {f"{777:032x}": 1})
    server.client.hset(keys.dead_letter(f"{777:032x}"), "orderReferenceId", "order-777")
