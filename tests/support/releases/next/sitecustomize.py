"""The next release: on a process's PYTHONPATH, it knows one more name and one more shape of an event.

The name means an item status. In the shape `status` is an object with a code.
"""

from typing import Any

from msgspec.structs import replace

from shared import events, facts

NAME = "order_item_status_changed"
events.KIND_OF_NAME[NAME] = events.ITEM_STATUS

_check, _read = events._CHECKS[events.ITEM_STATUS], facts._READERS[events.ITEM_STATUS]


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    status = content.get("status")
    return content | {"status": status["code"]} if isinstance(status, dict) and "code" in status else content


events._CHECKS[events.ITEM_STATUS] = lambda content, reference: _check(_plain(content), reference)
facts._READERS[events.ITEM_STATUS] = lambda event, received: _read(
    replace(event, content=_plain(event.content)), received
)
