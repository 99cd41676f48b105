"""Reads and writes topics by means of confluent-kafka: librdkafka, in threads of its own."""
