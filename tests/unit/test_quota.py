"""The quota of requests per tenant."""

from receiver.quota import Quota


def test_two_seconds_worth_may_come_at_once_and_then_one_by_one() -> None:
    now = 0.0
    quota = Quota(10.0, clock=lambda: now)
    assert [quota.take("a") for _ in range(20)] == [0.0] * 20
    assert 0 < quota.take("a") <= 0.1
    now += 0.1
    assert quota.take("a") == 0.0
    assert quota.take("a") > 0


def test_one_tenants_flood_leaves_the_others_alone() -> None:
    quota = Quota(1.0, clock=lambda: 0.0)
    while quota.take("flooding") == 0.0:
        pass
    assert quota.take("calm") == 0.0
