"""Text files as source and sink of Queue Connector: one line, one record."""
