"""Tango sources, sinks and device server for Queue Connector."""
