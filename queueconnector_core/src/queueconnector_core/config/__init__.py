"""Where configurations come from: the contract of configuration sources, and core's own ones."""
