"""Orders drawn for a person's eyes: a tree of connected orders, items and parcels; tables and lines."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from shared import statuses
from shared.effects import in_words

_STYLES = {"delivered": "bold green", "canceled": "dim", "returned": "yellow", "in_transit": "cyan", "shipped": "cyan"}


def draw(document: Mapping[str, Any]) -> RenderableType:
    """One order."""
    root = Tree(_root_label(document), guide_style="dim")
    for order_id, connected in document["orders"].items():
        branch = root.add(_order_label(order_id, connected))
        packages = [package for package in document["packages"] if package["orderId"] == order_id]
        for reference, line in connected["items"].items():
            leaf = branch.add(_line_label(reference, line))
            for fulfillment in line["fulfillments"]:
                leaf.add(_parcel_label(fulfillment, packages))
    return Group(root, *_attention(document))


def table(documents: Iterable[Mapping[str, Any]]) -> Table:
    """A list of orders."""
    result = Table(
        Column("Order", no_wrap=True),
        Column("Status", no_wrap=True),
        "Done",
        "Complete",
        "Connected",
        "Lines",
        "Attention",
        "Updated",
        box=None,
    )
    for document in documents:
        result.add_row(
            Text(visible(document["orderReferenceId"])),
            _status(document["status"]),
            "yes" if document["terminal"] else "",
            {True: "yes", False: "no", None: "?"}[document["complete"]],
            str(len(document["orders"])),
            str(sum(document["counts"].values())),
            Text(str(len(document["attention"]) or ""), style="bold red"),
            document["updatedAt"],
        )
    return result


def change(entry: Mapping[str, Any]) -> Text:
    """One entry of the stream of changes, as a line."""
    line = Text(f"{entry['at']}  {visible(entry['orderReferenceId'])}  v{entry['version']}  ")
    if entry["previousStatus"] not in (None, entry["status"]):
        line.append_text(_status(entry["previousStatus"])).append(" → ")
    line.append_text(_status(entry["status"]))
    return line.append("  done", style="dim") if entry["terminal"] else line


def events(described: Iterable[Mapping[str, Any]]) -> Table:
    """The raw events of an order."""
    result = Table("Received", "Made", "Event", "Connected order", "Changed", "Says", box=None)
    for entry in described:
        event = entry.get("event")
        says = Text("closed by an operator") if event is None else Text(visible(event.decode()), overflow="fold")
        if entry.get("parked"):
            says = Text("[parked] ", style="bold red") + says
        effects = entry["changed"]
        changed = Text("?" if effects is None else visible("; ".join(map(in_words, effects))), overflow="fold")
        identity = visible(entry.get("identity") or entry.get("error") or entry["cameAs"])
        result.add_row(
            entry["receivedAt"], entry.get("at", ""), Text(identity), Text(entry.get("orderId", "")), changed, says
        )
    return result


def visible(text: str) -> str:
    """A merchant's text without anything that a terminal would act upon."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _root_label(document: Mapping[str, Any]) -> Text:
    label = Text.assemble((visible(document["orderReferenceId"]), "bold"), "  ", _status(document["status"]))
    if document["tenant"] != "default":
        label.append(f"  tenant {document['tenant']}", style="dim")
    if document["complete"] is False:
        label.append("  incomplete: a connected order has not been heard of", style="yellow")
    if document["terminal"]:
        label.append("  closed" if "closedAt" in document else "  done", style="dim")
    label.append(f"  v{document['version']}, {document['events']} events, updated {document['updatedAt']}", style="dim")
    if document["deliveryEstimate"]:
        label.append(f"  {_estimate(document['deliveryEstimate'])}", style="dim")
    return label


def _order_label(order_id: str, connected: Mapping[str, Any]) -> Text:
    label = Text.assemble(("connected order ", "dim"), visible(order_id), "  ", _status(connected["status"]))
    if connected["silent"]:
        label.append("  silent: named, not heard of", style="yellow")
    if connected["disagrees"]:
        label.append(f"  Gelato reported {connected['reportedStatus']}, its lines disagree", style="yellow")
    return label


def _line_label(reference: str, line: Mapping[str, Any]) -> Text:
    label = Text.assemble(visible(reference), "  ", _status(line["status"]))
    if line["since"]:
        label.append(f"  since {line['since']}", style="dim")
    place = [part for part in (line["facility"]["country"], line["facility"]["stateProvince"]) if part]
    if place:
        label.append(f"  made in {visible(', '.join(place))}", style="dim")
    if line["comment"]:
        label.append(f"  “{visible(line['comment'])}”", style="italic")
    return label


def _parcel_label(fulfillment: Mapping[str, Any], packages: list[Mapping[str, Any]]) -> Text:
    code, url = fulfillment["trackingCode"], fulfillment.get("trackingUrl")
    label = Text.assemble(("parcel ", "dim"), visible(code or url or "?"))
    for package in packages:
        if package["trackingCode"] == code and (code or package["trackingUrl"] == url):
            if package["shipmentMethodName"]:
                label.append(f"  {visible(package['shipmentMethodName'])}", style="dim")
            if code and package["trackingUrl"]:
                label.append(f"  {visible(package['trackingUrl'])}", style="dim")
            others = len(package["itemReferenceIds"]) - 1
            if others:
                label.append(f"  shared with {others} other item{'s' if others > 1 else ''}", style="dim")
    return label


def _attention(document: Mapping[str, Any]) -> list[RenderableType]:
    lines = []
    for entry in document["attention"]:
        what = visible(entry["itemReferenceId"] or f"connected order {entry['orderId']}")
        comment = f": “{visible(entry['comment'])}”" if entry["comment"] else ""
        lines.append(Text(f"! {what} is {entry['status']}{comment}", style="bold red"))
    return list(lines)


def _estimate(estimate: Mapping[str, Any]) -> str:
    first, last = estimate["minDeliveryDate"], estimate["maxDeliveryDate"]
    return f"expected {first}" if first == last else f"expected {first or '?'} to {last or '?'}"


def _status(status: str) -> Text:
    style = "bold red" if statuses.needs_attention(status) else _STYLES.get(status, "blue")
    return Text(visible(status), style=style)
