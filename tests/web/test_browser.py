"""The status page in a real browser, of a run whose Kafka broker is stopped and started again."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from devservices.chromium import Chromium
from devservices.kafka import KafkaBroker
from tests.web.plots import is_drawn

COMMAND = str(Path(sys.executable).parent / "queueconnector")
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - for tests

HEALTH_LIMIT_S = 5
PAGE_S = 2.0
"""The page asks so often."""
MARGIN_S = 5.0
"""For a machine that does much else."""

SPECTRUM = [[math.exp(-(((i - n) / 6) ** 2)) for i in range(64)] for n in range(64)]
IMAGE = [[[math.sin(x / 3 + n) * y for x in range(12)] for y in range(8)] for n in range(8)]
ENTER, TAB, RIGHT = "\ue007", "\ue004", "\ue014"


def memory(data: list[Any], delay: float) -> dict[str, Any]:
    return {"type": "InMemorySource", "data": data, "delay": delay}


def kept(key: str) -> dict[str, Any]:
    return {"type": "InMemorySink", "key": key}


def configuration(broker: KafkaBroker) -> dict[str, Any]:
    kafka = {"servers": broker.bootstrap, "topic": "spectra", "encoding": "npy"}
    spectrum = {"dtype": "float64", "shape": [64], "health_limit_s": HEALTH_LIMIT_S}
    return {
        "exchanges": {
            "cbf": [
                spectrum
                | {
                    "source": memory(SPECTRUM * 40, 0.2),
                    "pipe": {"type": "DefaultPipe"},
                    "sink": {"type": "KafkaProducerSink", **kafka},
                },
                spectrum
                | {"source": {"type": "KafkaConsumerSource", **kafka}, "sink": kept("spectra")},
            ],
            "local": [
                {
                    "dtype": "float64", "shape": [8, 12],
                    "source": memory(IMAGE * 300, 0.2), "sink": kept("images"),
                },
                {
                    "dtype": "int64",
                    "source": [
                        memory([2**60 + n for n in range(5000)], 0.1),
                        memory([2**60 - n for n in range(5000)], 0.1),
                    ],
                    "sink": kept("numbers"),
                },
            ],
        }
    }  # fmt: skip


@attrs.frozen
class World:
    """A host that runs, its broker, and a browser at its page."""

    address: str
    broker: KafkaBroker
    written: dict[str, Any]
    browser: Chromium

    def open(self, **options: Any) -> None:
        """Load the page anew, with the exchanges on it."""
        self.browser.open(self.address, **options)
        self.browser.wait_for("return document.querySelectorAll('.row').length === 4")

    def wait_for_colour(self, exchange: str, colour: str, timeout_s: float) -> None:
        found = f"document.querySelector(`[data-exchange='{exchange}']`)"
        self.browser.wait_for(f"return {found}.classList.contains('is-{colour}')", timeout_s)

    def choose(self, exchange: str) -> None:
        self.browser.run(f"document.querySelector(`[data-exchange='{exchange}']`).click()")


@pytest.fixture(scope="module")
def world(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "token").write_text(TOKEN)
    with KafkaBroker() as broker:
        broker.create_topic("spectra")
        written = configuration(broker)
        (folder / "config.json").write_text(json.dumps(written))
        arguments = ["run", "config.json", "--web-port", "0", "--web-token-file", "token"]
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen([COMMAND, *arguments], cwd=folder, stderr=log) as process,
        ):
            address = address_in(folder / "log")
            yield World(address, broker, written, chromium)
            process.terminate()


def address_in(log: Path) -> str:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        for line in log.read_text().splitlines():
            if "status page at" in line:
                return line.split()[-1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def page(world: World) -> Iterator[World]:
    """The page, freshly loaded; it must not have complained at the end."""
    world.open()
    yield world
    assert world.browser.console() == []


def test_the_topology_is_that_of_the_configuration(page: World) -> None:
    shown = page.browser.run("""
        return Object.fromEntries([...document.querySelectorAll('.row')].map((row) => [
          row.dataset.exchange,
          [...row.querySelectorAll('.node')].map((node) => [
            node.dataset.stage, node.firstChild.textContent,
            node.querySelector("small").textContent,
          ]),
        ]))
    """)
    wanted = {
        f"{group}[{index}]": [
            type_name
            for stage in ("source", "pipe", "sink")
            for type_name in types_of(exchange.get(stage, []))
        ]
        for group, exchanges in page.written["exchanges"].items()
        for index, exchange in enumerate(exchanges)
    }
    assert {name: [kind for _, kind, _ in nodes] for name, nodes in shown.items()} == wanted
    assert shown["local[1]"][0][0] == "source[0]"
    assert shown["cbf[1]"][0][2] == "spectra · float64 [64]"


def types_of(written: Any) -> list[str]:
    return [one["type"] for one in (written if isinstance(written, list) else [written])]


def test_a_spectrum_is_drawn_as_a_line(page: World) -> None:
    page.choose("cbf[1]")
    page.browser.wait_for(is_drawn("#value .plot"))
    xs, ys = page.browser.run("return document.querySelector('#value .plot').uplot.data")
    assert xs == list(range(64))
    assert max(ys) > min(ys[0], ys[-1]), "a peak stands out"
    about = page.browser.run("return document.getElementById('value-about').textContent")
    assert "VALID" in about
    assert "spectra[0]@" in about


def test_the_points_of_a_plot_are_read_with_the_arrow_keys(page: World) -> None:
    page.choose("cbf[1]")
    page.browser.wait_for(is_drawn("#value .plot"))
    page.browser.run("document.querySelector('#value .plot').focus()")
    page.browser.press(RIGHT, RIGHT)
    told = "[...document.querySelectorAll('#value .u-value')].map((each) => each.textContent)"
    at, value = page.browser.wait_for(f"const told = {told}; return told[0] === '1' && told")
    assert at == "1"
    float(value)


def test_an_image_is_drawn_pixel_by_pixel(page: World) -> None:
    page.choose("local[0]")
    size, colours = page.browser.wait_for("""
        const canvas = document.querySelector('#value canvas');
        if (!canvas) return null;
        const pixels = canvas.getContext('2d').getImageData(0, 0, 12, 8).data;
        const colours = new Set();
        for (let i = 0; i < pixels.length; i += 4) colours.add(pixels.slice(i, i + 3).join());
        return [[canvas.width, canvas.height], colours.size];
    """)
    assert size == [12, 8]
    assert colours > 20


def test_a_number_is_shown_exactly(page: World) -> None:
    page.choose("local[1]")
    shown = page.browser.wait_for("return document.querySelector('#value .number')?.textContent")
    assert abs(int(shown) - 2**60) < 5000, "JavaScript's own numbers would round it"
    page.browser.wait_for(is_drawn("#value .plot"))


def test_rates_and_latency_are_plotted(page: World) -> None:
    for plot in ("rate", "latency"):
        page.browser.wait_for(is_drawn(f"#plot-all-{plot}"), 40)
    assert page.browser.run("return document.getElementById('all-rate').textContent") != "–/s"


def test_it_is_used_by_keyboard_with_the_token(page: World) -> None:
    browser = page.browser
    focused = "return document.activeElement"
    browser.run("document.getElementById('token').focus()")
    browser.press(*TOKEN, ENTER)
    browser.run("document.getElementById('filter').focus()")
    browser.press(*"local[1]")
    browser.wait_for("return document.querySelectorAll('.row').length === 1")
    browser.press(TAB)
    assert browser.run(f"{focused}.dataset.exchange") == "local[1]"
    browser.press(ENTER)
    browser.wait_for("return !document.getElementById('controls').hidden")
    browser.press(TAB)
    assert browser.run(f"{focused}.dataset.command") == "pause"
    browser.press(ENTER)
    page.wait_for_colour("local[1]", "warn", 20)
    browser.wait_for("return !document.querySelector('[data-command=resume]').disabled")
    browser.run("document.querySelector('[data-command=resume]').focus()")
    browser.press(ENTER)
    page.wait_for_colour("local[1]", "good", 20)


def test_the_configuration_is_shown_and_nothing_is_missing(page: World) -> None:
    shown = page.browser.wait_for("return document.getElementById('configuration').textContent")
    assert json.loads(shown)["cbf"][0]["sinks"][0]["options"]["topic"] == "spectra"
    assert TOKEN not in shown
    page.browser.wait_for(
        "return document.getElementById('gap-count').textContent.startsWith('nothing')"
    )


@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(
    world: World, width: int, dark: bool, tmp_path: Path
) -> None:
    world.open(width=width, height=800, dark=dark)
    world.choose("cbf[1]")
    world.browser.wait_for(is_drawn("#value .plot"))
    assert world.browser.run("return document.documentElement.scrollWidth <= innerWidth")
    ground, ink = world.browser.run("""
        const style = getComputedStyle(document.documentElement);
        return [style.backgroundColor, style.color].map((c) => Number(c.match(/\\d+/)[0]));
    """)
    assert (ground < ink) == dark
    world.browser.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_a_stopped_broker_turns_its_exchanges_red_in_time_and_no_other(page: World) -> None:
    for exchange in ("cbf[0]", "cbf[1]", "local[0]"):
        page.wait_for_colour(exchange, "good", 30)

    page.broker.pause()
    try:
        for exchange in ("cbf[0]", "cbf[1]"):
            page.wait_for_colour(exchange, "bad", HEALTH_LIMIT_S + PAGE_S + MARGIN_S)
        page.wait_for_colour("local[0]", "good", 0)
    finally:
        page.broker.resume()
    for exchange in ("cbf[0]", "cbf[1]"):
        page.wait_for_colour(exchange, "good", 60)

    page.broker.kill()
    page.wait_for_colour("cbf[0]", "bad", HEALTH_LIMIT_S + PAGE_S + MARGIN_S)
    assert "ill" in page.browser.run("return document.getElementById('health').textContent")
    page.broker.start()
    page.wait_for_colour("cbf[0]", "good", 60)


def test_a_host_that_goes_is_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"exchanges": [
        {"source": memory(["x"] * 1000, 0.1), "sink": kept("gone")},
    ]}))  # fmt: skip
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [COMMAND, "run", "config.json", "--web-port", "0"], cwd=tmp_path, stderr=log
        ) as process,
    ):
        world.browser.open(address_in(tmp_path / "log"))
        world.browser.wait_for("return document.querySelectorAll('.row').length === 1")
        process.kill()
        world.browser.wait_for("return !document.getElementById('offline').hidden")
    world.browser.console()
