"""Quix Streams copies a topic; `quixstreams_copy.py BOOTSTRAP SOURCE SINK`."""

from __future__ import annotations

import sys
import tempfile

from quixstreams import Application

bootstrap, source, sink = sys.argv[1:]
application = Application(
    broker_address=bootstrap,
    consumer_group=f"group-of-{source}",
    auto_offset_reset="earliest",
    auto_create_topics=False,
    state_dir=tempfile.mkdtemp(),
    loglevel="WARNING",
)
octets = {"key_deserializer": "bytes", "value_deserializer": "bytes"}
written = {"key_serializer": "bytes", "value_serializer": "bytes"}
stream = application.dataframe(application.topic(source, **octets))
stream.to_topic(application.topic(sink, **written))
application.run()
