"""When a peer that failed is asked again."""

from datetime import UTC, datetime

import pytest

from tocsin.peers.retry import due_after_success, pause_after, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(0, 7.5, 15), (1, 7.5, 15), (2, 15, 30), (3, 30, 60), (8, 960, 1920), (9, 1800, 3600), (10**9, 1800, 3600)],
)
def test_the_pause_doubles_up_to_an_hour_and_half_of_it_is_chance(failures, least, most):
    assert pause_after(failures, 0.0) == least
    assert pause_after(failures, 1.0) == most


@pytest.mark.parametrize(
    ("asked", "pause"), [(None, 7.5), (0.0, 7.5), (60.0, 60.0), (3600.0, 3600.0), (10.0**9, 3600.0)]
)
def test_a_peer_that_says_when_is_believed_within_an_hour(asked, pause):
    assert pause_after(1, 0.0, asked) == pause


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("120", 120.0),
        ("9" * 400, 999999999999.0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:02:00", 120.0),
        ("Sun, 99 Mar 2026 12:02:00 GMT", None),
        ("Sun, 01 Mar 99999999999 12:02:00 GMT", None),
        ("Sun, 01 Mar 2026 99999999999999999999999:02:00 GMT", None),
        ("Sun, 01 Mar 2026 12:02:00 +" + "9" * 400, None),
    ],
)
def test_retry_after_is_a_number_or_a_date_or_nothing(header, seconds):
    assert retry_after(header, NOW) == seconds


def test_what_is_in_step_is_asked_again_after_its_interval_not_all_at_once():
    assert due_after_success(60, 0.0) == pytest.approx(57.0)
    assert due_after_success(60, 1.0) == pytest.approx(63.0)
