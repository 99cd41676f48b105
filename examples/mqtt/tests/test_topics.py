"""Topic names, templates and filters, checked against what paho's matcher makes of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from queueconnector_mqtt.topics import (
    TopicFilter,
    refusal_of_filter,
    refusal_of_name,
    refusal_of_template,
    topic_of,
)

PATTERN = re.compile(TopicFilter.__metadata__[0].pattern)  # type: ignore[attr-defined]

LEVELS = st.text("ab", max_size=2)
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.lists(LEVELS | st.just("+"), min_size=1, max_size=4).map("/".join).filter(bool)


@pytest.mark.parametrize(
    "topic_filter",
    ["#", "+", "a", "/", "a/#", "+/a/+", "a//b", "/+", "$SYS/broker/#", "grüße/+/#", "a b"],
)
def test_filters_of_the_specification_are_accepted(topic_filter: str) -> None:
    assert PATTERN.fullmatch(topic_filter)
    assert not refusal_of_filter(topic_filter)


@pytest.mark.parametrize(
    "topic_filter", ["a/#/b", "a#", "a+", "+a/b", "##", "a/b#", "a\0b", "a/++/b", "#/a"]
)
def test_filters_with_a_wildcard_in_the_wrong_place_are_not(topic_filter: str) -> None:
    assert not PATTERN.fullmatch(topic_filter)


@given(FILTERS, TOPICS)
def test_what_is_accepted_can_be_subscribed_and_matches_as_paho_says(
    topic_filter: str, topic: str
) -> None:
    assert PATTERN.fullmatch(topic_filter)
    levels = zip(topic_filter.split("/"), topic.split("/"), strict=False)
    same_depth = topic_filter.count("/") == topic.count("/")
    expected = same_depth and all(pattern in {"+", level} for pattern, level in levels)
    assert topic_matches_sub(topic_filter, topic) == expected


def test_a_share_in_a_filter_is_told_the_way_out() -> None:
    assert "shared_subscription 'g'" in refusal_of_filter("$share/g/a/#")


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0", "ä" * 40_000, "\udc80"])
def test_names_that_cannot_be_published_to_are_refused(topic: str) -> None:
    assert refusal_of_name(topic)


def test_the_only_placeholder_is_the_key() -> None:
    assert refusal_of_template("a/{name}") == "found {name}; the only placeholder is {key}"
    assert not refusal_of_template("a/{key}/{not a word}")


@given(TOPICS)
def test_a_key_stands_in_the_topic_wherever_the_template_says(key: str) -> None:
    assert topic_of("x/{key}/y", key.encode()) == f"x/{key}/y"
    assert topic_of("fixed", key.encode()) == "fixed"


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "no key"), (b"\xff", "not UTF-8"), (b"a/+", "makes no topic"), (b"\0", "NUL")],
)
def test_a_key_that_makes_no_topic_says_why(key: bytes | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        topic_of("x/{key}", key)
