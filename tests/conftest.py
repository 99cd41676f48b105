"""The real services are fixtures of every test folder."""

pytest_plugins = ["devservices.pytest_plugin"]
