"""How a status looks: a family with a colour and a shape of its own, so that no meaning hangs on the colour alone."""

from typing import Final, NamedTuple

from shared import statuses


class Look(NamedTuple):
    """A family of statuses: a class of the style sheet, and an icon."""

    family: str
    icon: str


_EARLY: Final = Look("early", "dot")
_MAKING: Final = Look("making", "gear")
_MOVING: Final = Look("moving", "truck")
_DONE: Final = Look("done", "check")
_ACT: Final = Look("act", "alert")
_ENDED: Final = Look("ended", "cross")
_BACK: Final = Look("ended", "back")
_ODD: Final = Look("early", "question")

_LOOKS: Final = {
    "in_production": _MAKING,
    "printed": _MAKING,
    "shipped": _MOVING,
    "in_transit": _MOVING,
    "partially_shipped": _MOVING,
    "partially_delivered": _MOVING,
    "delivered": _DONE,
    "canceled": _ENDED,
    "returned": _BACK,
    "partially_returned": _BACK,
    **dict.fromkeys(statuses.NEEDS_ATTENTION, _ACT),
    **dict.fromkeys(("draft", "created", "uploading", "digitizing", "passed"), _EARLY),
}

#: What somebody must do about a status. Source: Gelato's documentation of its statuses.
ADVICE: Final = {
    "failed": "Gelato could not make it. The comment says why; it will not go on by itself.",
    "on_hold": "Gelato waits for the merchant, for example because something is out of stock.",
    "pending_approval": "Gelato waits for the merchant's approval.",
    "pending_personalization": "Gelato waits for the end customer's personalisation.",
    "not_connected": "An item from a store has no product yet: the merchant must connect it.",
}

_REASONS: Final = {
    "invalid-json": "Not JSON",
    "invalid-event": "Not a usable event",
    "unknown-event": "An event of an unknown name",
    "fold-error": "Folding it failed",
    "order-limit": "Its order is full",
}


def of(status: str) -> Look:
    """The look of a status; unknown ones have one too."""
    return _LOOKS.get(status, _ODD)


def reason(name: str) -> str:
    """A dead letter's reason in words."""
    return _REASONS.get(name, name)


def advice(status: str) -> str:
    """What to do about a status; empty where nothing is."""
    return ADVICE.get(status, "")
