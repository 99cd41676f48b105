"""One run of the demo: start the telescope, watch, judge, draw."""

import time

from rich.console import Console
from rich.live import Live

from pointing_loop.display import View, live_table, scan_line, summary_table
from pointing_loop.history import DishHistory, Result, result
from pointing_loop.observer import Observer
from pointing_loop.options import Options
from pointing_loop.picture import draw
from pointing_loop.telescope import Say, Telescope, telescope
from pointing_loop.track import tai_now

__all__ = ("run",)

REFRESH_S = 0.2


def run(options: Options, console: Console) -> list[str]:
    """Run the loop, show it, write the picture; return what went wrong, empty for a success.

    Raises ServiceFailed when a part of the telescope does not start or ends early.
    """

    def say(text: str) -> None:
        # As it is: a log is for programs too, and brackets in a message are no mark-up.
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    with Observer() as observer, telescope(options, say) as running:
        histories = observer.watch(running.dishes)
        if console.is_terminal:
            _watch_live(running, options, histories, console)
        else:
            _watch_plainly(running, options, histories, say)
    results = [result(history, running.scans, options.scans) for history in histories]
    console.print(summary_table(results))
    draw(histories, running.scans, options.scans, running.source, options.picture)
    say(f"picture: {options.picture}")
    return _problems(results)


def _problems(results: list[Result]) -> list[str]:
    return [entry.problem for entry in results if entry.problem is not None]


def _watch_live(
    running: Telescope, options: Options, histories: list[DishHistory], console: Console
) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while (view := _view(running, options, histories)).now < running.scans.end(options.scans):
            running.check()
            live.update(live_table(view), refresh=True)
            # The pace of the picture.
            time.sleep(REFRESH_S)


def _watch_plainly(
    running: Telescope, options: Options, histories: list[DishHistory], say: Say
) -> None:
    for scan in range(1, options.scans + 1):
        while tai_now() < running.scans.end(scan):
            running.check()
            # A scan lasts for a time; meanwhile only failures are looked for.
            time.sleep(REFRESH_S)
        say(scan_line(_view(running, options, histories), scan))


def _view(running: Telescope, options: Options, histories: list[DishHistory]) -> View:
    return View(
        source=running.source,
        broker=running.broker.description,
        connector_state=str(running.connector.state()),
        connector_status=running.connector.status(),
        scans=running.scans,
        scan_count=options.scans,
        now=tai_now(),
        histories=histories,
    )
