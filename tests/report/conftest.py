"""A page in headless Chromium, looked at and clicked on through its DevTools protocol."""

import asyncio
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1300,1000",
)


class Page:
    """An open page.

    Attributes:
        problems: What went to the console as an error or warning, and uncaught errors.
        requests: The address of everything that was asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._socket, self._numbers = socket, itertools.count(1)

    async def call(self, method: str, **params: Any) -> Any:
        """Ask the browser for something, and note what happens until it answers."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while (message := await self._receive()).get("id") != number:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    async def wait(self, event: str) -> None:
        while (message := await self._receive()).get("method") != event:
            self._note(message)

    async def value(self, expression: str) -> Any:
        """Give the value of JavaScript, after what is due has been drawn."""
        after = f"() => setTimeout(() => done({expression}))"
        drawn = f"new Promise(done => requestAnimationFrame({after}))"
        answer = await self.call(
            "Runtime.evaluate", expression=drawn, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self, selector: str) -> str:
        """Give what an element says."""
        said: str = await self.value(f"document.querySelector({selector!r}).textContent")
        return said

    async def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=name)

    async def point(self, selector: str, x: float, y: float) -> dict[str, float]:
        """Scroll to an element; give a place on it, of which the corners are (0, 0) and (1, 1)."""
        box = await self.value(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); return e.getBoundingClientRect(); }})"
            f"(document.querySelector({selector!r})).toJSON()"
        )
        return {"x": box["left"] + x * box["width"], "y": box["top"] + y * box["height"]}

    async def mouse(self, kind: str, place: dict[str, float], clicks: int = 0) -> None:
        button = {"button": "left", "clickCount": clicks} if clicks else {}
        await self.call("Input.dispatchMouseEvent", type=kind, **place, **button)

    async def hover(self, selector: str, x: float, y: float) -> None:
        await self.mouse("mouseMoved", await self.point(selector, x, y))

    async def click(self, selector: str, x: float, y: float, *, times: int = 1) -> None:
        place = await self.point(selector, x, y)
        for count in range(1, times + 1):
            await self.mouse("mousePressed", place, count)
            await self.mouse("mouseReleased", place, count)

    async def drag(self, selector: str, from_x: float, to_x: float) -> None:
        start, end = [await self.point(selector, x, 0.5) for x in (from_x, to_x)]
        await self.mouse("mousePressed", start, 1)
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", **end, buttons=1)
        await self.mouse("mouseReleased", end, 1)

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=60))
        return message

    def _note(self, message: dict[str, Any]) -> None:
        kind, facts = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif kind == "Log.entryAdded":
            self.problems.append(facts["entry"]["text"])
        elif kind in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.problems.append(json.dumps(facts))


Browse = Callable[[Path, Callable[[Page], Awaitable[Any]]], Any]


@pytest.fixture
def browse() -> Browse:
    """Open a file in a new browser, and look at it when it has been loaded and drawn."""
    named = os.environ.get("LEYDEN_BROWSER")
    browser = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if browser is None:
        pytest.skip("needs chromium, or LEYDEN_BROWSER naming it: apt-get install chromium")

    async def run(path: Path, look: Callable[[Page], Awaitable[Any]]) -> Any:
        async with _open(browser) as page:
            for room in ("Network", "Log", "Runtime", "Page"):
                await page.call(f"{room}.enable")
            await page.call("Page.navigate", url=path.absolute().as_uri())
            await page.wait("Page.loadEventFired")
            await page.value("1")
            return await look(page)

    return lambda path, look: asyncio.run(run(path, look))


@asynccontextmanager
async def _open(browser: str) -> AsyncIterator[Page]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            browser,
            *_OPTIONS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            address = await asyncio.wait_for(_find_address(process), timeout=60)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{address}/json/list") as answer:
                    targets = await answer.json()
                target = next(one for one in targets if one["type"] == "page")
                url = target["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.kill()
            await process.communicate()


async def _find_address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        if found := re.search(rb"DevTools listening on ws://([^/]+)/", line):
            return f"http://{found[1].decode()}"
    raise AssertionError(f"The browser did not start:\n{said.decode(errors='replace')}")
