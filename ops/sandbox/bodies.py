"""The bodies of submissions: what makes one acceptable, and some made up."""

import random
from typing import Any, Final

from ops.sandbox.story import NO_TROUBLE, TROUBLES

_MADE: Final = (
    ("poster", "flat_130x180-mm-5r_170-gsm-65lb-uncoated_4-0_ver"),
    ("mug-15-oz", "mug_product_msz_15-oz_mmat_ceramic-white_cl_4-0"),
    ("phone-case", "phonecase_apple_iphone-13promax_flexi_transparent_satin"),
    ("tee shirt/L", "apparel_product_gca_t-shirt_gsc_crewneck_gcu_unisex_gqa_classic_gsi_l_gco_white_gpr_4-4"),
    ("framed-poster", "framed_poster_mounted_210x297mm-8x12-inch_black_wood"),
    ("Größe #2", "canvas_300x400-mm_canvas_wood-fsc-slim_4-0_ver"),
    ("1001", "cards_pf_5r_pt_100-lb-cover-coated-silk_cl_4-4_hor"),
)
#: A key in an order's `metadata` that names the trouble that shall befall it, or `none`.
TROUBLE_KEY: Final = "sandbox-trouble"


class BadBody(Exception):
    """A submission that Gelato would refuse; the text names the field."""


def checked(body: Any) -> dict[str, Any]:
    """A submission as it is kept: the caller's own fields, those that matter here checked. Raises BadBody."""
    if not isinstance(body, dict):
        raise BadBody("body: must be a JSON object")
    reference = body.get("orderReferenceId")
    if not _is_text(reference):
        raise BadBody("orderReferenceId: must be a text")
    if body.get("orderType") not in (None, "order"):
        raise BadBody("orderType: the sandbox makes orders, no drafts")
    _check_items(body.get("items"))
    for name in ("shippingAddress", "returnAddress"):
        if not isinstance(body.get(name, {}), dict):
            raise BadBody(f"{name}: must be an object")
    if not isinstance(body.get("metadata") or [], list):
        raise BadBody("metadata: must be a list")
    if wanted_trouble(body) not in (None, NO_TROUBLE, *TROUBLES):
        raise BadBody(f"metadata {TROUBLE_KEY}: must be one of {', '.join((NO_TROUBLE, *TROUBLES))}")
    return body


def wanted_trouble(body: dict[str, Any]) -> str | None:
    """The trouble that the submission asks for in its metadata; None if it asks for none in particular."""
    for entry in body.get("metadata") or []:
        if isinstance(entry, dict) and entry.get("key") == TROUBLE_KEY:
            return str(entry.get("value"))
    return None


def made_up(seed: int, number: int, customer_reference: str | None) -> dict[str, Any]:
    """An order of one to four items, as a merchant might submit it; the same for the same seed and number."""
    rng = random.Random(f"{seed}/body/{number}")
    items = rng.sample(_MADE, rng.choices((1, 2, 3, 4), (4, 3, 2, 1))[0])
    return {
        "orderReferenceId": f"SB-{seed}-{number}",
        **({"customerReferenceId": customer_reference} if customer_reference else {}),
        "currency": "USD",
        "items": [
            {"itemReferenceId": reference, "productUid": product, "quantity": rng.choice((1, 1, 2))}
            for reference, product in items
        ],
    }


def _check_items(items: Any) -> None:
    if not isinstance(items, list) or not items:
        raise BadBody("items: must be a list, not empty")
    seen = set()
    for place, item in enumerate(items):
        where = f"items[{place}]"
        if not isinstance(item, dict):
            raise BadBody(f"{where}: must be an object")
        for name in ("itemReferenceId", "productUid"):
            if not _is_text(item.get(name)):
                raise BadBody(f"{where}.{name}: must be a text")
        quantity = item.get("quantity", 1)
        if type(quantity) is not int or quantity < 1:
            raise BadBody(f"{where}.quantity: must be a whole number above 0")
        if str(item["itemReferenceId"]) in seen:
            raise BadBody(f"{where}.itemReferenceId: is there twice")
        seen.add(str(item["itemReferenceId"]))


def _is_text(value: Any) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= 255) or type(value) is int
