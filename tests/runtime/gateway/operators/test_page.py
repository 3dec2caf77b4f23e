"""The page in a headless Chromium: what it shows, light and dark, and how it asks for a key."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from runtime.gateway.operators.admin import Admin
from runtime.metrics.tally import Tally
from tests.runtime.gateway.operators.browser import FOUND, Page, browsing
from tests.runtime.gateway.simulated import CHAT, JSON, ask, chat
from tests.runtime.gateway.sockets import listening

in_a_browser = pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine")

LIVE = "document.getElementById('state')?.dataset.state === 'live'"
SHOWN = "document.querySelectorAll('#agents tbody tr').length"


def shown(folder: Path, story: Callable[[Page, str, Any, Any], Coroutine[Any, Any, None]], **tables: Any) -> None:
    async def main() -> None:
        async with listening(**tables) as (url, app, watching), browsing(folder) as page:
            await asyncio.wait_for(story(page, url, app, watching), 30)

    asyncio.run(main())


def test_the_page_is_served_whole_and_runs_nothing_from_elsewhere() -> None:
    admin = Admin(Tally([("a", "m")]))
    assert admin.open == {"/", *(f"/iemas/page/{name}" for name in ("page.js", "page.css", "uPlot.js", "uPlot.css"))}
    for path in sorted(admin.open):
        answer = asyncio.run(ask(admin, path))
        assert answer.status == 200 and answer.headers["content-security-policy"].startswith("default-src 'none'")
        text = answer.body.decode()
        assert "uPlot.js" in path or "//" not in text.replace("// ", ""), "nothing is named that lies elsewhere"
        assert path != "/" or ("style=" not in text and "onclick" not in text)


@in_a_browser
def test_it_shows_what_happens_light_and_dark(tmp_path: Path) -> None:
    async def story(page: Page, url: str, app: Any, watching: Any) -> None:
        await page.send("Page.navigate", url=url)
        await page.until(LIVE)
        for k in range(4):
            assert (await ask(app, CHAT, chat(f"the {k} sea", stream=True, iemas={"worth": 5000}))).status == 200
        await page.until(
            "[...document.querySelectorAll('#agents tbody tr')].some((row) => row.cells[4].innerText > '0')"
        )
        names = await page.run("[...document.querySelectorAll('#agents tbody tr')].map((row) => row.dataset.agent)")
        assert names == ["small", "big"]
        await page.until("document.getElementById('since').innerText.startsWith('4 requests')")
        assert await page.until("document.querySelector('#stated dd').innerText.startsWith('4')")
        # Lines are drawn: some pixel of a chart is of the first line's colour.
        grounds = []
        for scheme in ("light", "dark"):
            media = [{"name": "prefers-color-scheme", "value": scheme}]
            await page.send("Emulation.setEmulatedMedia", features=media)
            await page.until(PAINTED)
            grounds.append(await page.run("getComputedStyle(document.body).backgroundColor"))
        assert grounds[0] != grounds[1]
        assert page.problems == [] and {one["url"].split("/")[2] for one in page.asked if "//" in one["url"]} == {
            url.split("/")[2]
        }

    shown(tmp_path, story)


PAINTED = """(() => {
  const wanted = getComputedStyle(document.documentElement).getPropertyValue('--a').trim().match(/\\w\\w/g).map((x) => parseInt(x, 16));
  return [...document.querySelectorAll('#charts canvas')].some((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let k = 0; k < data.length; k += 4)
      if (data[k + 3] === 255 && wanted.every((part, i) => Math.abs(data[k + i] - part) < 3)) return true;
    return false;
  });
})()"""  # noqa: E501


@in_a_browser
def test_a_figure_that_was_measured_once_is_seen(tmp_path: Path) -> None:
    """One request a minute is charged a price in one second of it: a line needs two."""

    async def story(page: Page, url: str, app: Any, watching: Any) -> None:
        await page.send("Page.navigate", url=url)
        await page.until(LIVE)
        assert (await ask(app, CHAT, chat("the sea", stream=True, iemas={"worth": 5000}))).status == 200
        await page.until("points.filter((one) => one.price !== null && one.price !== undefined).length === 1")
        await page.until("points.length > 2 && points[points.length - 1].price == null")
        await page.until(PAINTED.replace("#charts canvas", "#charts section:nth-child(4) canvas"))
        found = await page.run("JSON.stringify(lonely({data: [[], [1, null, 2, 3, null, 0, null, null, 5]]}, 1))")
        assert found == "[0,5,8]"

    shown(tmp_path, story)


@in_a_browser
def test_it_asks_for_a_key_and_sends_it_as_a_header(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")

    async def story(page: Page, url: str, app: Any, watching: Any) -> None:
        await page.send("Page.navigate", url=url)
        await page.until("document.getElementById('ask') && !document.getElementById('ask').hidden")
        assert await page.run("document.getElementById('view').hidden") is True
        for key, after in (("wrong", "document.getElementById('refused').innerText"), ("sesame", LIVE)):
            await page.run(f"document.getElementById('key').value = '{key}'")
            await page.run("document.querySelector('#ask button').click()")
            await page.until(after)
        headers = (*JSON, (b"authorization", b"Bearer sesame"))
        assert (await ask(app, CHAT, chat("hi", iemas={"worth": 5000}), headers=headers)).status == 200
        await page.until(SHOWN)
        assert await page.run("document.getElementById('ask').hidden") is True
        assert not [one["url"] for one in page.asked if "sesame" in one["url"]]
        sent = [one["headers"].get("authorization") for one in page.asked if one["url"].endswith("/events")]
        assert sent[-1] == "Bearer sesame"

    shown(tmp_path, story, keys=[{"name": "alice", "key": {"file": str(tmp_path / "key")}}])
