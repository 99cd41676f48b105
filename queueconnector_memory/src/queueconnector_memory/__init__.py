"""Ends that need no other program: values of a configuration, a store to look into, files."""
