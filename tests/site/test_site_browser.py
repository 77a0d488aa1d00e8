"""The site in a real browser: nothing fails, nothing leaves the machine, and everything can be read and reached."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MB = 1_000_000
PHONE = {"width": 390, "height": 844}


class Watched:
    """A page whose complaints and requests are kept."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._failed)
        self.context.on("request", lambda asked: self.requests.append(asked.url))

    def _failed(self, asked: Any) -> None:
        if asked.failure != "net::ERR_ABORTED":  # the next page was opened meanwhile
            self.complaints.append(f"failed: {asked.url} ({asked.failure})")

    def open(self, url: str) -> Any:
        self.page.goto(url, wait_until="load")
        return self.page

    def left_the_machine(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file://", "data:", "http://127.0.0.1:"))]


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    made = Watched(browser)
    yield made
    made.context.close()


@pytest.fixture
def phone(browser: Any) -> Iterator[Watched]:
    made = Watched(browser, viewport=PHONE)
    yield made
    made.context.close()


def load_all_pictures(page: Any) -> None:
    """Load also what is loaded late, where one scrolls to it."""
    page.evaluate("document.querySelectorAll('img').forEach(it => { it.loading = 'eager' })")
    page.evaluate("Promise.all([...document.images].map(it => it.decode().catch(() => null)))")


# ---- loading


def test_every_page_loads_from_a_file_and_asks_nobody_else(watched: Watched, pages: list[Path]) -> None:
    for path in pages:
        page = watched.open(path.as_uri())
        load_all_pictures(page)
        broken = page.evaluate("[...document.images].filter(it => it.naturalWidth === 0).map(it => it.src)")
        assert broken == [], path.name
        assert page.title()
        assert page.locator("h1").count() == 1
    assert watched.complaints == []
    assert watched.left_the_machine() == []
    assert len(watched.requests) > 3 * len(pages)


def test_every_page_loads_from_the_server(watched: Watched, site: Any, pages: list[Path]) -> None:
    from lessons.workbench.site.server import listen

    server = listen(site.out, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        for path in pages:
            page = watched.open(f"http://127.0.0.1:{server.server_address[1]}/{path.relative_to(site.out).as_posix()}")
            load_all_pictures(page)
        assert watched.complaints == []
        assert watched.left_the_machine() == []
    finally:
        watched.context.close()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "planted", ['<img src="https://cdn.invalid/x.png">', '<link rel="stylesheet" href="https://cdn.invalid/x.css">']
)
def test_a_link_to_a_network_would_be_noticed(watched: Watched, tmp_path: Path, site: Any, planted: str) -> None:
    text = (site.out / "index.html").read_text(encoding="utf-8")
    policy = text.index("<meta http-equiv")
    without = text[:policy] + text[text.index(">", policy) + 1 :]
    (tmp_path / "open.html").write_text(without.replace("</main>", planted + "</main>"), encoding="utf-8")
    (tmp_path / "closed.html").write_text(text.replace("</main>", planted + "</main>"), encoding="utf-8")
    watched.page.route("http*://**", lambda route: route.abort())
    watched.open((tmp_path / "open.html").as_uri())
    assert len(watched.left_the_machine()) == 1
    # With the policy of our pages the browser refuses before it asks, and says so.
    fresh = Watched(watched.context.browser)
    fresh.open((tmp_path / "closed.html").as_uri())
    fresh.page.wait_for_timeout(300)
    fresh.context.close()
    refused = [said for said in fresh.complaints if "Content Security Policy" in said or "(csp)" in said]
    assert refused, "\n".join(fresh.complaints)


def test_weights(site: Any) -> None:
    assert site.total < 15 * MB
    heavy = {url: weight for url, weight in site.weights.items() if weight >= 1.5 * MB}
    assert heavy == {}
    on_disk = sum(path.stat().st_size for path in site.out.rglob("*") if path.is_file())
    assert abs(on_disk - site.total) < 0.2 * MB  # the list of what was made is beside it


# ---- formulas

SIZES = """() => [...document.querySelectorAll('math')].map(it => {
  const box = it.getBoundingClientRect();
  return [box.width, box.height, it.getAttribute('alttext')];
})"""


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true })")


def test_each_equation_has_a_size(watched: Watched, pages: list[Path]) -> None:
    seen = 0
    for path in pages:
        page = watched.open(path.as_uri())
        unfold(page)
        for width, height, latex in page.evaluate(SIZES):
            seen += 1
            assert width > 2, (path.name, latex)
            assert height > 2, (path.name, latex)
    assert seen > 1000


def test_what_should_stretch_stretches(watched: Watched, site: Any) -> None:
    """Brackets around a fraction are taller than a letter, and braces are drawn from end to end of what they hold."""
    tall, braces = 0, 0
    for path in sorted(site.out.glob("*.html")):
        page = watched.open(path.as_uri())
        unfold(page)
        for bracket, inside, letter in page.evaluate(BRACKETS):
            tall += 1
            assert bracket > 0.8 * inside, path.name
            assert bracket > 1.2 * letter, path.name
        held = page.locator(":is(munder, mover):has(> mo.line) > :first-child")
        for k in range(min(6, held.count())):
            braces += 1
            left, right = ends_of_brace(page, held.nth(k))
            assert left < 2, (path.name, k)
            assert right < 2, (path.name, k)
    assert tall > 5
    assert braces > 20


BRACKETS = """() => [...document.querySelectorAll('math[display=block] mrow')].flatMap(row => {
  const [first] = row.children;
  const inside = [...row.children].find(it => it.tagName === 'mfrac' || it.tagName === 'mtable');
  if (!inside || first.tagName !== 'mo' || first.getAttribute('stretchy') !== 'true') return [];
  const height = (it) => it.getBoundingClientRect().height;
  return [[height(first), height(inside), parseFloat(getComputedStyle(row).fontSize)]];
})"""


def ends_of_brace(page: Any, held: Any) -> tuple[float, float]:
    """How far the ink of a brace ends from the left and right end of what it holds, in pixels.

    The box of a sign says nothing of it: Chromium stretches what it draws, and not the box.
    """
    import io

    from PIL import Image

    held.evaluate("it => it.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})")
    box = held.bounding_box()
    above = held.evaluate("it => it.parentElement.tagName === 'MOVER'.toLowerCase()")
    size = held.evaluate("it => parseFloat(getComputedStyle(it).fontSize)")
    top = box["y"] - 0.6 * size if above else box["y"] + box["height"]
    clip = {"x": box["x"] - 4, "y": top, "width": box["width"] + 8, "height": 0.6 * size}
    with Image.open(io.BytesIO(page.screenshot(clip=clip))) as picture:
        ink = picture.convert("L").point(lambda grey: 255 if grey < 160 else 0).getbbox()
    assert ink is not None, "there is no brace"
    return max(0.0, ink[0] - 4), max(0.0, box["width"] + 4 - ink[2])


# ---- terms


def lit(page: Any, name: str) -> dict[str, int]:
    """How many places of a term are lit, by what they are in, and how many are not."""
    found: dict[str, int] = page.evaluate(
        """name => {
             const places = [...document.querySelectorAll(`[data-term="${name}"]`)];
             const of = (kind) => places.filter(it => it.classList.contains('lit') && it.closest(kind)).length;
             return {formula: of('math'), code: of('.code'), failure: of('.terminal'),
                     lines: document.querySelectorAll('.code .lit-line').length,
                     dark: places.filter(it => !it.classList.contains('lit')).length};
           }""",
        name,
    )
    return found


@pytest.mark.parametrize(
    ("lesson", "term"),
    [("batchnorm", "var"), ("distillation", "soft"), ("rnn", "memory"), ("backward_passes", "direct")],
)
def test_a_term_lights_in_equation_code_and_failure(watched: Watched, site: Any, lesson: str, term: str) -> None:
    page = watched.open((site.out / f"{lesson}.html").as_uri())
    unfold(page)
    all_places = page.locator(f'[data-term="{term}"]').count()
    assert all_places > 3
    none = {"formula": 0, "code": 0, "failure": 0, "lines": 0, "dark": all_places}
    assert lit(page, term) == none
    page.locator(f'math [data-term="{term}"], math[data-term="{term}"]').first.click()
    found = lit(page, term)
    assert found["formula"] > 0
    assert found["failure"] > 0
    assert found["dark"] == 0
    if lesson == "batchnorm":
        assert found["code"] > 0
        assert found["lines"] > 0
    page.keyboard.press("Escape")
    assert lit(page, term) == none


def test_terms_by_keyboard_and_by_address(watched: Watched, site: Any) -> None:
    page = watched.open((site.out / "batchnorm.html").as_uri())
    unfold(page)
    place = page.locator('.prose [data-term="var"][tabindex="0"], .code [data-term="var"][tabindex="0"]').first
    place.focus()
    assert lit(page, "var")["dark"] == 0
    page.keyboard.press("Enter")
    assert lit(page, "var")["formula"] == 0
    page.keyboard.press(" ")
    assert lit(page, "var")["dark"] == 0
    assert place.get_attribute("aria-pressed") == "true"
    page = watched.open("about:blank")
    page = watched.open((site.out / "batchnorm.html").as_uri() + "#term-var")
    assert lit(page, "var")["dark"] == 0
    assert page.evaluate("document.getElementById('term-var').dataset.term") == "var"


# ---- sliders, search


@pytest.mark.parametrize("lesson", ["affine_bilinear", "batchnorm", "distillation", "vae"])
def test_sliders_move_the_picture(watched: Watched, site: Any, lesson: str) -> None:
    page = watched.open((site.out / f"{lesson}.html").as_uri())
    ranges = page.locator("figure.slider input[type=range]")
    assert ranges.count() >= 1
    for k in range(ranges.count()):
        handle = ranges.nth(k)
        assert page.locator(f'label[for="{handle.get_attribute("id")}"]').count() == 1
        source = "it => it.closest('figure').querySelector('img').src"
        before, said = handle.evaluate(source), handle.get_attribute("aria-valuetext")
        handle.focus()
        page.keyboard.press("End" if handle.input_value() == "0" else "Home")
        page.wait_for_function(
            "([id, before]) => { const image = document.getElementById(id).closest('figure').querySelector('img');"
            " return image.src !== before && image.complete && image.naturalWidth > 0 }",
            arg=[handle.get_attribute("id"), before],
        )
        assert handle.get_attribute("aria-valuetext") != said


def test_the_search_finds_a_lesson_by_keyboard(watched: Watched, site: Any) -> None:
    page = watched.open((site.out / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("batch normalis")
    page.locator("#search li a").first.wait_for()
    assert page.locator('#search li a[href*="batchnorm.html"]').count() >= 1
    page.keyboard.press("Enter")
    page.wait_for_url("**/batchnorm.html*")
    page.keyboard.press("/")
    page.keyboard.type("no such thing anywhere")
    page.wait_for_function("document.querySelector('#search [role=status]').textContent !== ''")
    assert page.locator("#search li a").count() == 0


# ---- for every reader


def test_a_phone_has_no_horizontal_scroll(phone: Watched, pages: list[Path]) -> None:
    for path in pages:
        page = phone.open(path.as_uri())
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name


def test_the_accessibility_tree_has_the_maths_and_the_pictures(watched: Watched, site: Any) -> None:
    page = watched.open((site.out / "batchnorm.html").as_uri())
    unfold(page)
    session = watched.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value", "") for node in nodes if not node.get("ignored")]
    formulas = page.locator("math").count()
    assert sum(role in ("math", "MathMLMath") for role in roles) == formulas > 20
    assert "MathMLFraction" in roles
    named = {
        node.get("name", {}).get("value") for node in nodes if node.get("role", {}).get("value") in ("image", "img")
    }
    alts = page.evaluate("[...document.images].map(it => it.alt)")
    assert len(alts) > 3
    assert all(len(alt) > 20 for alt in alts)
    assert set(alts) <= named
    for landmark in ("main", "navigation", "banner"):
        assert landmark in roles


CONTRAST = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3]));
  const light = (c) => {
    const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = parse(getComputedStyle(document.documentElement).backgroundColor);
  const ground = (element) => {
    const layers = [];
    for (let it = element; it; it = it.parentElement) layers.push(parse(getComputedStyle(it).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), paper[3] ? paper : [255, 255, 255]);
  };
  const bad = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest('svg, script, [hidden]')) continue;
    seen += 1;
    const below = ground(element);
    const text = over(parse(getComputedStyle(element).color), below);
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.set(`${element.tagName}.${element.className}`, `${node.data.trim().slice(0, 30)} ${ratio}`);
  }
  return [seen, [...bad].slice(0, 20)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Any, site: Any, pages: list[Path], scheme: str) -> None:
    watched = Watched(browser, color_scheme=scheme)
    try:
        for path in pages:
            page = watched.open(path.as_uri() + ("#term-var" if path.stem == "batchnorm" else ""))
            unfold(page)
            page.wait_for_timeout(200)  # colours of a lit term fade in
            seen, bad = page.evaluate(CONTRAST)
            assert bad == [], path.name
            assert seen > 20
        grey = {"light": "rgb(130, 130, 130)", "dark": "rgb(100, 100, 100)"}[scheme]
        page.evaluate("grey => { document.querySelector('h1').style.color = grey }", grey)
        assert page.evaluate(CONTRAST)[1] != [], "a planted grey is not noticed"
    finally:
        watched.context.close()


def test_without_scripts_a_page_is_complete(browser: Any, site: Any) -> None:
    watched = Watched(browser, java_script_enabled=False)
    try:
        page = watched.open((site.out / "batchnorm.html").as_uri())
        for selector in ("math", ".exercise", ".claims", "figure img", ".code", "details summary"):
            assert page.locator(f"{selector} >> visible=true").count() >= 1, selector
        fold = page.locator(".exercise details").first
        fold.locator("summary").first.click()  # folds are the browser's own
        assert fold.get_attribute("open") is not None
        assert watched.complaints == []
    finally:
        watched.context.close()


def test_print_unfolds_and_drops_the_navigation(watched: Watched, site: Any) -> None:
    page = watched.open((site.out / "batchnorm.html").as_uri())
    inside = page.locator(".exercise details > :not(summary)").first
    assert not inside.is_visible()
    page.emulate_media(media="print")
    assert inside.is_visible()
    assert not page.locator(".banner").first.is_visible()
