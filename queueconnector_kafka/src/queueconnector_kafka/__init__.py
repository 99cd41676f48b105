"""Kafka source and sink for Queue Connector."""
