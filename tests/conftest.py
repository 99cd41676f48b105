"""Settings of every test; the real services come from `-p devservices.pytest_plugin`."""

from hypothesis import settings

# Examples are timed by the wall clock, and tests share the machine.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
