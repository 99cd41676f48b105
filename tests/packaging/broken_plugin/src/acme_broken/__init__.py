"""What third parties do to hosts without meaning to."""
