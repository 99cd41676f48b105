"""MQTT topics as source and sink of Queue Connector."""
