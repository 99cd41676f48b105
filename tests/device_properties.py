"""The properties of the device under test when nobody has set them.

The Tango database is shared: what one test has set is nothing to the next.
"""

from __future__ import annotations

from typing import Final

NO_PROPERTIES: Final = {
    "exchanges_json": "",
    "exchanges_config_path": "",
    "subarray_id": "",
    "config_sources": "",
    "attributes": "",
    "autostart": "false",
    "commands": "full",
    "state_file": "",
    "web_port": "",
    "web_host": "127.0.0.1",
    "web_token_file": "",
}
