"""Peers that do the same copy, each in an environment of its own."""
