"""The Lua scripts, by name. Each stands in its own file with its keys, arguments, steps and returns."""

import re
from hashlib import sha1
from pathlib import Path
from typing import Final, NamedTuple

from shared.store import keys

_HERE: Final = Path(__file__).parent
#: What `--@include keys.lua` stands for: names that need not come with each call of a script that runs on one server alone.
_KEYS: Final = f"""\
local SHARDS, CHANGES, WAKE, WAITING = {keys.SHARDS}, '{keys.CHANGES}', '{keys.WAKE}', '{keys.WAITING}'
-- What stands before a claim's id, a shard's number, an order's name; and what stands behind both of these.
local HAND = '{keys.hand("")}'
local DUE, MARKS, LEASES = {", ".join(f"'{prefix}'" for prefix in keys.SHARD_PREFIXES)}
local DOCUMENT, STATE, LOG, META = {", ".join(f"'{prefix}'" for prefix in keys.ORDER_PREFIXES)}
local ENDS = '{keys.ORDER_SUFFIX}'
"""
_INCLUDE: Final = re.compile(r"^--@include (\w+\.lua)$", re.MULTILINE)


class Script(NamedTuple):
    """A script's text, and the hash that the server knows it by. `sha` is an address here, not a protection."""

    name: str
    text: str
    sha: str


def _load(name: str) -> Script:
    text = (_HERE / f"{name}.lua").read_text()
    text = _INCLUDE.sub(lambda match: _KEYS if match[1] == "keys.lua" else (_HERE / match[1]).read_text(), text)
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


ACCEPT: Final = _load("accept")
AMEND: Final = _load("amend")
ANNOUNCED: Final = _load("announced")
BEAT: Final = _load("beat")
BURY: Final = _load("bury")
CLAIM: Final = _load("claim")
COMMIT: Final = _load("commit")
FINISH: Final = _load("finish")
FORGET: Final = _load("forget")
HOLD: Final = _load("hold")
INDEX: Final = _load("index")
LEAVE: Final = _load("leave")
LINK: Final = _load("link")
LOAD: Final = _load("load")
MARK: Final = _load("mark")
MEND: Final = _load("mend")
PACE: Final = _load("pace")
PACK: Final = _load("pack")
PAGE: Final = _load("page")
PLACE: Final = _load("place")
READY: Final = _load("ready")
RECONCILE_HOLD: Final = _load("reconcile_hold")
RECONCILE_SAVE: Final = _load("reconcile_save")
RECONCILE_WANT: Final = _load("reconcile_want")
RELEASE: Final = _load("release")
REPLAY: Final = _load("replay")
RUN_CLAIM: Final = _load("run_claim")
RUN_NOTE: Final = _load("run_note")
RUN_STATE: Final = _load("run_state")
SETTLE: Final = _load("settle")
SUBMIT: Final = _load("submit")
SUBMIT_END: Final = _load("submit_end")
TAKE: Final = _load("take")
TALLY: Final = _load("tally")
UNLINK: Final = _load("unlink")
TRIED: Final = _load("tried")
UNPLACE: Final = _load("unplace")
WAKE: Final = _load("wake")
