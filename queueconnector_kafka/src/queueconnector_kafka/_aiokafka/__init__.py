"""Reads and writes topics by means of aiokafka, in the event loop."""
