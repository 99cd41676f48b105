"""In-memory ends for Queue Connector: a source of given values, and a sink to look into."""
