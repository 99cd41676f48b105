"""`queueconnector schema`: the JSON schema of what can be configured here."""

from __future__ import annotations

import json

from queueconnector_core.discovery import discover
from queueconnector_core.schema import json_schema

__all__ = ("schema",)


def schema() -> int:
    """Print the JSON schema (draft 2020-12) of a configuration, for what is installed.

    An editor completes and checks configurations with it.
    """
    print(json.dumps(json_schema(discover().registry), indent=2))
    return 0
