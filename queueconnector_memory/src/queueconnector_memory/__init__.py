"""In-memory source and sink for Queue Connector: for trying things out and for tests."""
