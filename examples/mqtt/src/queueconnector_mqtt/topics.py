"""Topic names and topic filters of MQTT, as its specification defines them (section 4.7)."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta

__all__ = (
    "MAX_TOPIC_BYTES",
    "TopicName",
    "TopicTemplate",
    "TopicFilter",
    "ShareName",
    "refusal_of_name",
    "refusal_of_filter",
    "refusal_of_template",
    "topic_of",
)

MAX_TOPIC_BYTES: Final = 65_535
"""The longest topic, in octets of UTF-8."""

KEY: Final = "{key}"

_NAME: Final = r"[^+#\x00]+"
_LEVEL: Final = r"(?:\+|[^+#/\x00]*)"
_PLACEHOLDER: Final = re.compile(r"\{\w*\}")

TopicName = Annotated[
    str,
    Meta(
        description="A topic name, such as site/ska001/az: at least one character, none of the "
        "wildcards + and #.",
        pattern=rf"^{_NAME}$",
        max_length=MAX_TOPIC_BYTES,
    ),
]
TopicTemplate = Annotated[
    str,
    Meta(
        description="The topic to publish to, such as site/ska001/az: without the wildcards + and "
        "#. {key} in it stands for the key of each record, so that records go to topics of their "
        "own.",
        pattern=rf"^{_NAME}$",
        max_length=MAX_TOPIC_BYTES,
    ),
]
TopicFilter = Annotated[
    str,
    Meta(
        description="A topic filter, such as site/+/az or site/#: + stands for one whole level, "
        "# for all levels from there on, as the last one.",
        pattern=rf"^(?:#|{_LEVEL}(?:/{_LEVEL})*(?:/#)?)$",
        min_length=1,
        max_length=MAX_TOPIC_BYTES,
    ),
]
ShareName = Annotated[
    str,
    Meta(
        description="The name of a shared subscription: no /, + or #.",
        pattern=r"^[^/+#\x00]+$",
        max_length=MAX_TOPIC_BYTES - 8,
    ),
]


def refusal_of_name(topic: str) -> str:
    """Why nothing can be published to `topic`; empty when it can."""
    if not topic:
        return "a topic has at least one character"
    if found := next((sign for sign in "+#\0" if sign in topic), ""):
        return f"found {found!r} in {topic!r}; a topic has no wildcard and no NUL in it"
    try:
        octets = topic.encode()
    except UnicodeEncodeError:
        return f"found {topic!r}, which is no text of Unicode"
    if len(octets) > MAX_TOPIC_BYTES:
        return f"{len(octets)} octets; a topic has at most {MAX_TOPIC_BYTES}"
    return ""


def refusal_of_filter(topic_filter: str) -> str:
    """Why a filter that is well formed cannot be subscribed; empty when it can."""
    if topic_filter.startswith("$share/"):
        name = topic_filter.split("/")[1]
        return f"a shared subscription is an option: shared_subscription {name!r}"
    return refusal_of_name(topic_filter.replace("+", "").replace("#", "") or "-")


def refusal_of_template(template: str) -> str:
    """Why a template cannot work; empty when it can."""
    for found in _PLACEHOLDER.findall(template):
        if found != KEY:
            return f"found {found}; the only placeholder is {KEY}"
    return refusal_of_name(template)


def topic_of(template: str, key: bytes | None) -> str:
    """The topic of a record; raises `ValueError` with the reason when its key makes none."""
    if KEY not in template:
        return template
    if key is None:
        raise ValueError(f"the record has no key, and the topic is {template}")
    try:
        topic = template.replace(KEY, key.decode())
    except UnicodeDecodeError:
        raise ValueError(f"the key {key!r} is not UTF-8, and the topic is {template}") from None
    if refusal := refusal_of_name(topic):
        raise ValueError(f"the key {key!r} makes no topic: {refusal}")
    return topic
