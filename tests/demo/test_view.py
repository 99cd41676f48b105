"""The operator's view of the running demo: its status page in a browser, and `top`."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from devservices.chromium import Chromium
from devservices.kafka import KafkaBroker
from pointing_loop.configuration import configuration
from tests.demo.running import Run
from tests.screen import Screen
from tests.web.plots import is_drawn

pytestmark = pytest.mark.timeout(400)  # The first of them starts Kafka, Tango and a browser.

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - for tests
DISHES = ("SKA001", "SKA002", "SKA003")
POINTINGS, OFFSETS = "default[0]", "default[1]"

HEALTH_LIMIT_S = 15.0
"""The default of `health_limit_s`, which the demo leaves as it is."""
PAGE_S = 2.0
MARGIN_S = 8.0
"""For a machine that does much else."""
DOWN = b"\x1b[B"


@attrs.frozen
class World:
    """The demo that runs, its broker, and a browser at the page that it has named."""

    demo: Run
    broker: KafkaBroker
    browser: Chromium
    address: str
    token_file: Path

    def open(self, **options: int | bool) -> None:
        self.browser.open(self.address, **options)  # type: ignore[arg-type]
        self.browser.wait_for("return document.querySelectorAll('.row').length === 2")

    def choose(self, exchange: str) -> None:
        self.browser.run(f"document.querySelector(`[data-exchange='{exchange}']`).click()")

    def wait_for_colour(self, exchange: str, colour: str, timeout_s: float) -> None:
        found = f"document.querySelector(`[data-exchange='{exchange}']`)"
        self.browser.wait_for(f"return {found}.classList.contains('is-{colour}')", timeout_s)


@pytest.fixture(scope="module")
def world(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("demo")
    token_file = folder / "token"
    token_file.write_text(TOKEN)
    with KafkaBroker() as broker:
        arguments = ["--dishes", str(len(DISHES)), "--scan", "2", "--duration", "900"]
        arguments += ["--kafka", broker.bootstrap, "--web-token-file", "token"]
        demo = Run(folder, *arguments)
        try:
            demo.wait_for("scan   1", 240)
            found = re.search(r"status page (\S+)", demo.output)
            assert found is not None, demo.output
            yield World(demo, broker, chromium, found[1], token_file)
        finally:
            demo.signal(signal.SIGTERM)
            demo.exit_code()
    assert demo.left_behind() == []


@pytest.fixture
def page(world: World) -> Iterator[World]:
    """The page, freshly loaded; the browser must not have complained at the end."""
    world.open()
    yield world
    assert world.browser.console() == []


def test_the_topology_is_that_of_the_configuration(page: World) -> None:
    shown = page.browser.run("""
        return Object.fromEntries([...document.querySelectorAll('.row')].map((row) => [
          row.dataset.exchange,
          [...row.querySelectorAll('.stage')].map((stage) =>
            [...stage.querySelectorAll('.node')].map((node) => node.firstChild.textContent)),
        ]))
    """)
    written = configuration(page.broker.bootstrap, dict.fromkeys(DISHES, ""))["exchanges"]
    sides = [[exchange["source"], exchange["sink"]] for exchange in written]
    assert shown == {
        f"default[{index}]": [
            [one["type"] for one in (side if isinstance(side, list) else [side])] for side in ends
        ]
        for index, ends in enumerate(sides)
    }


def test_the_fields_of_a_value_are_listed_and_one_of_them_is_drawn_as_a_spectrum(
    page: World,
) -> None:
    page.choose(OFFSETS)
    names = page.browser.wait_for("""
        const cells = [...document.querySelectorAll('#value tr:first-child td')];
        return cells.length ? cells.map((cell) => cell.textContent) : null;
    """)
    assert names == list(DISHES)
    page.browser.run("""
        [...document.querySelectorAll('.field')].find((b) => b.textContent === 'el_offset').click()
    """)
    page.browser.wait_for(is_drawn("#value .plot"))
    xs, _ = page.browser.run("return document.querySelector('#value .plot').uplot.data")
    assert len(xs) == len(DISHES)


def test_a_number_of_a_dish_is_followed(page: World) -> None:
    page.choose(POINTINGS)
    page.browser.run("""
        const part = document.getElementById('part');
        part.value = "antenna_name == 'SKA002' && el || null";
        part.dispatchEvent(new Event('change'));
    """)
    shown = page.browser.wait_for("return document.querySelector('#value .number')?.textContent")
    assert 0 < float(shown) < 90
    page.browser.wait_for(is_drawn("#value .plot"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(
    world: World, width: int, dark: bool, tmp_path: Path
) -> None:
    world.open(width=width, height=850, dark=dark)
    world.choose(OFFSETS)
    world.browser.wait_for("return document.querySelector('#value table')")
    assert world.browser.run("return document.documentElement.scrollWidth <= innerWidth")
    apart = world.browser.run("""
        const stages = [...document.querySelector('.row').querySelectorAll('.stage')];
        const [sources, sinks] = stages.map((stage) => stage.getBoundingClientRect());
        return [sinks.left >= sources.right, sinks.top >= sources.bottom];
    """)
    assert apart == ([False, True] if width < 600 else [True, False])
    world.browser.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_a_stopped_broker_turns_both_exchanges_red_in_time_and_green_again(page: World) -> None:
    both = (POINTINGS, OFFSETS)
    in_time_s = HEALTH_LIMIT_S + PAGE_S + MARGIN_S
    for exchange in both:
        page.wait_for_colour(exchange, "good", 30)

    page.broker.pause()
    try:
        for exchange in both:
            page.wait_for_colour(exchange, "bad", in_time_s)
    finally:
        page.broker.resume()
    for exchange in both:
        page.wait_for_colour(exchange, "good", 60)

    page.broker.kill()
    for exchange in both:
        page.wait_for_colour(exchange, "bad", in_time_s)
    assert page.browser.run("return document.getElementById('health').textContent") == "ill"
    page.broker.start()
    for exchange in both:
        page.wait_for_colour(exchange, "good", 60)
    page.browser.wait_for("return document.getElementById('health').textContent === 'well'")


def test_top_sorts_filters_pauses_resumes_and_restarts(world: World) -> None:
    screen = Screen(world.address, "--token-file", str(world.token_file))
    try:
        screen.shows(r"mid-sdp/queueconnector/01 +ON +all well")
        screen.shows(r"default\[0\] +ON +\d")
        screen.press(DOWN + DOWN + b"p")
        screen.shows(r"default\[1\]: pause: done")
        screen.shows(r"default\[1\] +ON paused")
        screen.press(b"r")
        screen.shows(r"default\[1\]: resume: done")
        screen.press(b"ss")
        screen.shows(r"sorted by delivered_hz")
        screen.press(b"/[0\r")
        screen.shows(r"1 of 2 exchanges +sorted by delivered_hz +filter: \[0")
        screen.press(b"R")
        screen.shows(r"default\[0\]: restart: done")
        screen.shows(r"default\[0\] +ON +\d")
        screen.press(b"q")
        assert screen.code() == 0
    finally:
        screen.close()
