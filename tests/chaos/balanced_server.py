"""The observed device server, with one command more: `Balances` tells what each exchange counts."""

from __future__ import annotations

import json
from typing import Any

from tango.server import command

from queueconnector_core.exchange import Exchange
from queueconnector_tango import device, server
from tests.device import observed_server


def balance(exchange: Exchange) -> dict[str, Any]:
    """The counters and the gaps of an exchange."""
    counted = exchange.statistics
    return {
        "name": exchange.name,
        "received": counted.received,
        "delivered": counted.delivered,
        "dropped": counted.dropped,
        "dead_lettered": counted.dead_lettered,
        "in_flight": counted.in_flight,
        "gaps": exchange.gaps.total,
        "records_lost": exchange.gaps.records_lost,
    }


class SDPQueueConnector(observed_server.SDPQueueConnector):
    """The device under test; the name is that of the class, so that Tango sees no difference."""

    @command(dtype_out=str)
    def Balances(self) -> str:  # noqa: N802
        """The balance of every exchange, as a JSON list."""
        return json.dumps(self._wait_for(self._balances()))

    async def _balances(self) -> list[dict[str, Any]]:
        groups = self._session.connector.groups.values()
        return [balance(exchange) for group in groups for exchange in group.exchanges]


if __name__ == "__main__":
    device.SDPQueueConnector = SDPQueueConnector  # type: ignore[misc]
    server.main()
