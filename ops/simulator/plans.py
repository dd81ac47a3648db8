"""What each line of a connected order is to go through, and the troubles that befall some."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ops.simulator.truth import ATTENTION

USUAL = ("created", "uploading", "passed", "in_production", "printed", "shipped", "in_transit", "delivered")
UNKNOWN = "quality_check"
"""A status that Gelato has not yet added; it must not break anything."""
TROUBLES = (
    "hold", "hold_stuck", "failed", "failed_retried", "cancel_item", "cancel_order", "returned", "stuck",
    "late_scan", "waiting", "unknown",
)  # fmt: skip
COMMENTS = (
    "Out of stock", "File resolution too low", "Die Adresse ist unvollständig", "印刷ファイルが開けません",
    'Paper "135 gsm" is not available', "Blank product discontinued",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A status that an item will reach. `late`: only a carrier's late scan, the item is already delivered."""

    status: str
    comment: str | None = None
    late: bool = False


def plan(rng: random.Random, items: Sequence[str], trouble: str | None) -> dict[str, list[Step]]:
    """The steps of each line, `created` first.

    A trouble befalls one line, or each with a chance of a third.
    """
    victims = {rng.choice(items), *(item for item in items if rng.random() < 0.33)}
    if trouble == "stuck":
        victims = set(items)
    return {item: _steps(rng, trouble if item in victims else None) for item in items}


def _steps(rng: random.Random, trouble: str | None) -> list[Step]:
    statuses = [
        s for s in USUAL if rng.random() > {"uploading": 0.2, "in_production": 0.3, "in_transit": 0.1}.get(s, 0)
    ]
    if rng.random() < 0.1:
        statuses.insert(statuses.index("passed"), "digitizing")
    steps = [Step(status) for status in statuses]
    early = rng.randint(1, statuses.index("printed"))  # steps[:early] ends before `printed`
    reason = rng.choice((*COMMENTS, None))
    match trouble:
        case "hold":
            again = [steps[early - 1]] if rng.random() < 0.5 else []
            return [*steps[:early], Step("on_hold", reason), *again, *steps[early:]]
        case "hold_stuck":
            return [*steps[:early], Step("on_hold", reason)]
        case "failed":
            return [*steps[:early], Step("failed", reason or COMMENTS[0])]
        case "failed_retried":
            return [*steps[:early], Step("failed", reason), *steps[statuses.index("passed") :]]
        case "cancel_item":
            return [*steps[:early], Step("canceled")]
        case "returned":
            return [*steps, Step("returned")]
        case "stuck":
            return steps[: rng.randint(1, len(steps) - 1)]
        case "late_scan":
            return [*steps, Step("in_transit", late=True)]
        case "waiting":
            return [steps[0], Step(rng.choice(ATTENTION[2:]), reason)]
        case "unknown":
            checked = [*steps[: statuses.index("shipped")], Step(UNKNOWN)]
            return checked if rng.random() < 0.5 else [*checked, *steps[statuses.index("shipped") :]]
    return steps
