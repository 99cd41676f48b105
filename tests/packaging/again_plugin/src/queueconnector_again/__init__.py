"""A plugin that wants a name which is taken."""
