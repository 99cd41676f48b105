"""Watches the dishes from outside with plain Tango subscriptions, for the table and the picture."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import tango

from pointing_loop.history import Correction, DishHistory, Residual
from pointing_loop.track import tai_now

__all__ = ("Observer",)


class Observer:
    """Keeps a history of each dish, filled by change events; a context manager.

    Leave it after the dishes are stopped: Tango complains on standard error about events that
    arrive while it unsubscribes.
    """

    def __init__(self) -> None:
        self._subscriptions: list[tuple[tango.DeviceProxy, int]] = []

    def __enter__(self) -> Self:
        return self

    def watch(self, trls: Mapping[str, str]) -> list[DishHistory]:
        """Subscribe to the dishes with these addresses by name; their histories grow from now."""
        histories = [DishHistory(dish) for dish in trls]
        for history, trl in zip(histories, trls.values(), strict=True):
            proxy = tango.DeviceProxy(trl)
            for attribute in ("State", "achievedPointing", "beamError", "appliedOffset"):
                take = self._taker(history, attribute)
                identity = proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, take)
                self._subscriptions.append((proxy, identity))
        return histories

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for proxy, identity in self._subscriptions:
            proxy.unsubscribe_event(identity)
        self._subscriptions.clear()

    @staticmethod
    def _taker(history: DishHistory, attribute: str) -> Callable[[tango.EventData], None]:
        def take(event: tango.EventData) -> None:
            if event.err or event.attr_value is None or event.attr_value.value is None:
                return
            value = event.attr_value.value
            if attribute == "State":
                history.state = str(value)
            elif attribute == "achievedPointing":
                history.azimuth, history.elevation = float(value[1]), float(value[2])
            elif attribute == "beamError":
                history.residuals.append(Residual(*map(float, value)))
            elif value[0] > 0:  # Scan 0 is the start value, before the first offset.
                correction = Correction(tai_now(), int(value[0]), float(value[1]), float(value[2]))
                history.corrections.append(correction)

        return take
