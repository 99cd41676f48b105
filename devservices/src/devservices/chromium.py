"""Headless Chromium, driven over the WebDriver protocol of its chromedriver."""

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from .errors import ServiceUnavailable
from .process import HOST, free_port, is_listening, wait_until
from .service import Service

T = TypeVar("T")

ANSWER_TIMEOUT_S = 60.0

# Without these Chromium asks for hosts of Google's at every start.
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars"),
)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        remedy = "apt-get install chromium chromium-driver (Debian)"
        raise ServiceUnavailable("Chromium", f"no {name} on PATH", remedy)
    return path


class Chromium(Service):
    """A browser with one page; ``start()`` opens an empty one."""

    start_timeout_s: ClassVar[float] = 60.0

    def __init__(self) -> None:
        super().__init__("chromium")
        self.port = free_port()
        self._session = ""

    @classmethod
    def check(cls) -> str:
        """Return the version of Chromium; raises ServiceUnavailable without it or its driver."""
        _program("chromedriver")
        command = [_program("chromium"), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return " ".join(done.stdout.split()[:2])

    def _command(self) -> Sequence[str]:
        return [_program("chromedriver"), f"--port={self.port}"]

    def _is_ready(self) -> bool:
        if not is_listening(self.port):
            return False
        options = {
            "binary": _program("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={self.directory / 'profile'}"],
        }
        capabilities = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = self._send("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/{answer['sessionId']}"
        return True

    def stop(self) -> None:
        """Close the page, then end the browser; idempotent."""
        if self._session and self.is_running:
            self._send("DELETE", "")
            self._session = ""
        super().stop()

    def open(self, url: str, *, width: int = 1200, height: int = 1000, dark: bool = False) -> None:
        """Load a page in a window of that size, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript, the body of a function, in the page; return what it returns."""
        return self._send("POST", "/execute/sync", {"script": script, "args": arguments})

    def wait_for(self, script: str, timeout_s: float = 20.0) -> Any:
        """Run JavaScript until it returns something true, and return that.

        Raises TimeoutError with the text of the page.
        """
        try:
            return wait_until(lambda: self.run(script), timeout_s, script)
        except TimeoutError as error:
            shown = self.run("return document.body.innerText")
            raise TimeoutError(f"{error}; the page shows:\n{shown}") from None

    def press(self, *keys: str) -> None:
        """Press and release keys one after the other; special ones by their WebDriver code."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self._send("POST", "/actions", {"actions": actions})

    def console(self) -> list[str]:
        """Return what the browser has complained about since the last call."""
        found = self._send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] in {"SEVERE", "WARNING"}]

    def picture(self, path: Path) -> None:
        """Write what the page looks like, all of it, as PNG."""
        found = self._devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _devtools(self, command: str, **parameters: object) -> Any:
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _send(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/session{self._session}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_TIMEOUT_S) as answer:
                return json.load(answer)["value"]
        except urllib.request.HTTPError as error:
            with error:
                told = json.load(error)["value"]
            raise RuntimeError(f"{told['error']}: {told['message']}") from None
