"""Bytewax copies a topic; `bytewax_copy.py BOOTSTRAP SOURCE SINK`."""

from __future__ import annotations

import sys

from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

bootstrap, source, sink = sys.argv[1:]
flow = Dataflow("copy")
read = kafka.input("read", flow, brokers=[bootstrap], topics=[source])
kafka.output("write", read.oks, brokers=[bootstrap], topic=sink)
cluster_main(flow, [], 0)
