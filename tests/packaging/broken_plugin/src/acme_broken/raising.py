"""Fails as a plugin without its hardware does."""

raise RuntimeError("this machine has no correlator card")
