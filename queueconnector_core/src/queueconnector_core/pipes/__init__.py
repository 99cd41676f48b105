"""The pipes that come with core."""
