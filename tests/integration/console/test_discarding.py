"""Discarding a cause in the console: what there is no time for is asked about again, with the same reason."""

import re
from collections.abc import Iterator

import httpx
import pytest
from support.inside import Inside
from support.processes import OPS_TOKEN

from receiver.app import create_app
from receiver.console import replays
from shared.settings import Settings
from shared.store import Store, audit, letter_lists
from shared.store.dead_letters import DeadLetter, bury

FORM_TOKEN = re.compile(r'name="form-token" value="([^"]+)"')


@pytest.fixture
def operator(env: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody who is signed in, at a receiver in this process."""
    with (
        Inside(create_app(Settings.from_environment(env))) as inside,
        httpx.Client(base_url=inside.base, headers={"sec-fetch-site": "same-origin"}, timeout=10.0) as client,
    ):
        client.post("/console/sign-in", data={"token": OPS_TOKEN, "operator": "Ada"})
        yield client


def test_what_there_was_no_time_for_is_one_click_away(
    operator: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "_DISCARD_SECONDS", 0.0)
    monkeypatch.setattr(replays, "_LOT", 5)
    for n in range(12):
        store.run(bury(DeadLetter(f"{n:032x}", "default", "unknown-event", "event: 'x'", b"%d" % n, 10**15 + n, None)))
    (group,) = store.run(letter_lists.groups())
    path = f"/console/letters/discard?group={group.id}"
    page = operator.get(path)
    fields = {"reason": "a harness <posted> them"}
    for gone, left in ((5, 7), (5, 2)):
        (token,) = FORM_TOKEN.findall(page.text)[-1:]
        page = operator.post(path, data={"form-token": token, **fields})
        assert page.status_code == 200
        assert f"{gone} letters discarded." in page.text
        assert f"Discard {left} letters" in page.text
        assert 'value="a harness &lt;posted&gt; them"' in page.text
        assert store.run(letter_lists.count()) == left
    done = operator.post(path, data={"form-token": FORM_TOKEN.findall(page.text)[-1], **fields})
    assert (done.status_code, done.headers["location"]) == (303, "/console/letters?discarded=2")
    deeds = store.run(audit.latest(10))
    assert [deed.outcome for deed in deeds if deed.action == "discarded"] == [{"discarded": n} for n in (2, 5, 5)]
    assert {deed.what["reason"] for deed in deeds} == {"a harness <posted> them"}
