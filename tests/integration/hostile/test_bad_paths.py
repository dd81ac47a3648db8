"""Odd paths and queries: a clear answer in JSON."""

import orjson
import pytest
from support.processes import OPS_TOKEN, Receiver
from support.raw_http import exchange


class TestPathsAndQueries:
    @pytest.mark.parametrize(
        "target",
        [
            "/orders/%",
            "/orders/%zz",
            "/orders/%FF%FE",
            "/orders/%00",
            "/orders/" + "x" * 10_000,
            "/orders/..%2f..%2fetc",
            "/orders?limit=abc",
            "/orders?limit=" + "9" * 5_000,
            "/orders?limit=-1",
            "/orders?limit=%C2%B2",
            "/orders?cursor=xx",
            "/orders?cursor=%FF",
            "/orders?cursor=WzFlOTk5LFtdXQ",
            "/orders?cursor=" + "W1tb" * 5_000,
            "/orders?cursor=WzE4NDQ2NzQ0MDczNzA5NTUxNjE1LFtdXQ",
            "/orders?terminal=perhaps",
            "/orders?updatedSince=yesterday",
            "/orders?updatedSince=" + "9" * 5_000,
            "/orders?reference=",
            "/orders?reference=%FF",
            "/orders?" + "a=b&" * 5_000,
            "//orders",
            "/orders/",
            "/tenants//orders",
            "/tenants/%FF/orders",
            "/tenants/" + "x" * 5_000 + "/orders",
        ],
        ids=lambda target: target[:40],
    )
    def test_an_odd_one_gets_a_clear_answer_in_json(self, receiver: Receiver, target: str) -> None:
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {OPS_TOKEN}\r\n\r\n"
        answer = exchange(receiver, request.encode())
        assert answer.split()[1] in (b"200", b"400", b"404", b"414")
        top, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in top
        assert orjson.loads(body)
