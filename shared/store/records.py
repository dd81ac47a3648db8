"""The records of an order's event log, as bytes.

A record is one letter, its time of receipt (8 bytes, big-endian, microseconds) and the event's canonical JSON:

- `W` a webhook, `S` a snapshot that was posted, `F` one that this service fetched; the same in lower case: known content
  again (a snapshot received later, an event replayed), which does not count as another event;
- `C` an operator closed the order (no JSON);
- `P` events that were parked, as their 16-byte digests (no time): a rebuild skips them, unless they were replayed later;
- `Z` several of the above, packed.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from shared.events import content_digest
from shared.facts import FETCHED, POSTED, WEBHOOK

CLOSED: Final = "C"
PARKED: Final = "P"
_PACKED: Final = b"Z"
_PLAIN: Final = b"WSFC"
_CAME_AS: Final = {"W": WEBHOOK, "S": POSTED, "F": FETCHED}
_LETTERS: Final = {came_as: letter.encode() for letter, came_as in _CAME_AS.items()}
_LETTER: Final = {came_as: letter for letter, came_as in _CAME_AS.items()}
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[bytes])

#: What nearly every log holds, most frequent last: lets even a short log compress well.
_DICTIONARY: Final = (
    b'"maxDeliveryDate":"2026-"minDeliveryDate":"2026-"event":"order_delivery_estimate_updated"'
    b'"productionCountry":"US","productionFacilityId":"","productionStateProvince":"","event":'
    b'"order_item_tracking_code_updated","connectedOrderIds":["canceled""failed""on_hold""returned""uploading"'
    b'"object":"orderStatus""event":"order_status_updated","fulfillmentStatus":"in_transit","fulfillments":['
    b'{"fulfillmentCountry":"US","fulfillmentFacilityId":"","fulfillmentStateProvince":"NY","shipmentMethodName":"'
    b'","shipmentMethodUid":"","trackingCode":"","trackingUrl":"https://"}],"itemReferenceId":""},{"fulfillmentStatus":'
    b'"delivered""shipped""printed""in_production""passed""created"{"comment":"","created":"2026-'
    b'T00:00:00+00:00","event":"order_item_status_updated","object":"itemStatus","fulfillmentCountry":"US",'
    b'"fulfillmentFacilityId":"","fulfillmentStateProvince":"","id":"is_6","itemReferenceId":"","orderId":"",'
    b'"orderReferenceId":"","status":"","storeId":null}'
)


class Record(NamedTuple):
    """One record. `letter` as above; `received` in microseconds; `text` is JSON, or the digests of a `P`."""

    letter: str
    received: int
    text: bytes

    @property
    def came_as(self) -> str:
        """How the event came in, for `shared.facts.read_facts`."""
        return _CAME_AS[self.letter.upper()]

    @property
    def is_event(self) -> bool:
        """Whether it holds an event."""
        return self.letter.upper() in _CAME_AS

    @property
    def is_known(self) -> bool:
        """Whether it repeats content that an earlier record of the log holds."""
        return self.letter.islower()

    @property
    def parked(self) -> list[bytes]:
        """The digests of a record that says what was parked."""
        return [self.text[at : at + 16] for at in range(0, len(self.text), 16)]

    @property
    def digest(self) -> bytes:
        """The digest of the event's content."""
        return content_digest(self.letter.upper().encode(), self.text)

    def encoded(self) -> bytes:
        """The record as stored."""
        if self.letter == PARKED:
            return PARKED.encode() + self.text
        return self.letter.encode() + body(self.received, self.text)


def letter_of(came_as: str) -> str:
    """The letter of a new event that came in as `webhook`, `posted` or `fetched`."""
    return _LETTER[came_as]


def of_event(came_as: str, received: int, text: bytes) -> bytes:
    """The record of a new event, as stored."""
    return _LETTERS[came_as] + received.to_bytes(8, "big") + text


def body(received: int, text: bytes) -> bytes:
    """A record without its letter."""
    return received.to_bytes(8, "big") + text


def parked(digests: Iterable[bytes]) -> bytes:
    """The record that says which events were parked."""
    return PARKED.encode() + b"".join(digests)


def closed(received: int) -> bytes:
    """The record of an operator's `close`."""
    return Record(CLOSED, received, b"").encoded()


def read(stored: Iterable[bytes]) -> Iterator[Record]:
    """The records in some stored ones, packed ones unpacked."""
    for each in stored:
        if each[:1] == _PACKED:
            yield from map(_decode, _DECODER.decode(_decompressor().decompress(each[1:])))
        else:
            yield _decode(each)


def without_repeats(records: Iterable[Record]) -> list[Record]:
    """Of a snapshot received several times only the first and the last record."""
    kept: list[Record] = []
    last_of: dict[bytes, int] = {}
    for record in records:
        if record.letter == PARKED:
            last_of.clear()  # whether a repeat came before or after matters to a rebuild
        elif record.is_known:
            digest = record.digest
            if digest in last_of:
                kept[last_of[digest]] = record
                continue
            last_of[digest] = len(kept)
        kept.append(record)
    return kept


def pack(records: Iterable[Record]) -> bytes:
    """Several records as one, without repeats."""
    return pack_plain([record.encoded() for record in without_repeats(records)])


def are_plain(stored: Iterable[bytes]) -> bool:
    """Whether stored records may be packed as they are: none is packed, none repeats another, nothing was parked."""
    return all(each[0] in _PLAIN for each in stored)


def pack_plain(stored: list[bytes]) -> bytes:
    """Stored records as one, as they are."""
    compressor = zlib.compressobj(level=3, zdict=_DICTIONARY)
    return _PACKED + compressor.compress(_ENCODER.encode(stored)) + compressor.flush()


def _decode(stored: bytes) -> Record:
    letter = chr(stored[0])
    if letter == PARKED:
        return Record(letter, 0, stored[1:])
    return Record(letter, int.from_bytes(stored[1:9], "big"), stored[9:])


def _decompressor() -> "zlib._Decompress":
    return zlib.decompressobj(zdict=_DICTIONARY)
