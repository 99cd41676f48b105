"""The real services are fixtures of every test folder."""

from hypothesis import settings

# Examples are timed by the wall clock, and tests share the machine.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

pytest_plugins = ["devservices.pytest_plugin"]
