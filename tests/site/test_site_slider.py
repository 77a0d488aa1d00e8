"""Sliders on a page, in a real browser: by mouse, by keyboard, several on one page, from a file, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lessons.anatomy import Run
from lessons.workbench.report import _item
from lessons.workbench.site import figures

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, which moves the sliders")

SCRIPT = Path(figures.__file__).with_name("assets") / "slider.js"
STYLE = "img { width: 100%; height: auto } output { display: inline-block } [hidden] { display: none }"
ANGLES, SCALES = (-30, 0, 30), (0.5, 1, 2, 4)


def line(angle: float, scale: float = 1.0):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2.5))
    figure.subplots().plot([0, scale], [0, angle])
    return figure


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two sliders, rendered as those of a lesson are."""
    folder = tmp_path_factory.mktemp("sliders")
    run = Run(out=folder / "run")
    run.slider("lean", {"angle (degrees)": ANGLES, "scale": SCALES}, line, alt="a line that leans", start=(1, 2))
    run.slider("one", {"angle": ANGLES}, line, alt="another line", start=(0,))
    pictures = figures.Pictures("toy", folder / "run")
    body = "\n".join(pictures.figure(_item(item)) for item in run.sections[0].items)
    for url, content in pictures.files.items():
        (folder / url).parent.mkdir(parents=True, exist_ok=True)
        (folder / url).write_bytes(content)
    (folder / "slider.js").write_bytes(SCRIPT.read_bytes())
    (folder / "site.css").write_text(STYLE)
    path = folder / "page.html"
    policy = "default-src 'none'; img-src 'self' file:; script-src 'self' file:; style-src 'self' file:"
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Sliders</title><link rel=stylesheet href=site.css>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<script src="slider.js" defer></script><p>before</p>{body}<p id="after">after</p></html>',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def page(browser, page_file) -> Iterator[playwright.Page]:
    page = browser.new_page(viewport={"width": 390, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(page_file.as_uri())
    yield page
    page.close()
    assert heard == []


def picture(page, name: str = "lean") -> str:
    source = page.locator(f"#slider-{name}-0").evaluate("it => it.closest('figure').querySelector('img').src")
    return Path(source).name


def shows(page, name: str, file: str) -> None:
    """Wait until the slider shows a file, and it is a picture that the browser could read."""
    page.wait_for_function(
        "([name, file]) => { const image = document.querySelector(`#slider-${name}-0`).closest('figure')"
        ".querySelector('img'); return image.src.endsWith(`/${file}`) && image.complete && image.naturalWidth > 0 }",
        arg=[name, file],
    )


def test_the_still_is_shown_until_something_moves(page):
    assert picture(page).startswith("lean.")
    assert page.locator("output").all_inner_texts() == ["0 degrees", "2", "-30"]
    assert page.evaluate("document.querySelector('figure img').naturalWidth") == 600


def test_the_keyboard_moves_each_axis_and_says_the_value(page):
    angle, scale = page.get_by_role("slider", name="angle").first, page.get_by_role("slider", name="scale")
    angle.focus()
    page.keyboard.press("ArrowRight")
    shows(page, "lean", "lean-02-02.webp")
    assert angle.get_attribute("aria-valuetext") == "30 degrees"
    page.keyboard.press("Home")
    shows(page, "lean", "lean-00-02.webp")
    page.keyboard.press("Tab")
    assert scale.evaluate("it => it === document.activeElement")
    page.keyboard.press("End")
    shows(page, "lean", "lean-00-03.webp")
    assert page.locator("output").all_inner_texts() == ["-30 degrees", "4", "-30"]
    assert picture(page, "one").startswith("one."), "the other slider stays where it is"


def test_back_at_the_start_the_still_is_there_again(page):
    page.locator("#slider-one-0").focus()
    page.keyboard.press("ArrowRight")
    shows(page, "one", "one-01.webp")
    page.keyboard.press("ArrowLeft")
    assert picture(page, "one").startswith("one.")


def test_the_mouse_moves_it(page):
    box = page.locator("#slider-lean-1").bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)
    shows(page, "lean", "lean-01-00.webp")


def test_nothing_shifts(page):
    def places():
        moving = page.locator("figure img, figure input, figure output, #after")
        return moving.evaluate_all("all => all.map(it => JSON.stringify(it.getBoundingClientRect()))")

    before = places()
    for name, moves in (("lean-0", ("Home", "End")), ("lean-1", ("Home", "End")), ("one-0", ("End",))):
        page.locator(f"#slider-{name}").focus()
        for key in moves:
            page.keyboard.press(key)
            page.wait_for_timeout(50)
            assert places() == before, (name, key)
    shows(page, "one", "one-02.webp")


def test_every_frame_of_it_exists_and_is_fetched_on_first_use(page, page_file):
    frames = page.locator("figure.slider").first.get_attribute("data-frames").split(" ")
    assert len(frames) == len(set(frames)) == len(ANGLES) * len(SCALES)
    assert all((page_file.parent / frame).is_file() for frame in frames)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(Path(request.url).name))
    page.locator("#slider-lean-0").focus()
    page.wait_for_timeout(200)
    assert sorted(fetched) == sorted(Path(frame).name for frame in frames)


def test_a_quick_hand_ends_at_the_last_position(page):
    page.locator("#slider-lean-0").focus()
    for key in ("Home", "End", "Home", "ArrowRight", "End", "ArrowLeft", "Home"):
        page.keyboard.press(key)
    shows(page, "lean", "lean-00-02.webp")
    page.wait_for_timeout(200)
    assert picture(page) == "lean-00-02.webp"


def test_without_scripts_there_is_the_still_and_no_dead_control(browser, page_file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.get_by_alt_text("a line that leans").is_visible()
    assert not page.get_by_role("slider").first.is_visible()
    context.close()
