"""The search: which words find which places, and in the browser which place comes first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lessons.workbench.site.markup import Html, Mark, Page
from lessons.workbench.site.search import GLOBAL, build_index, index_script, words_of

PAGES = [
    Page("rnn.html", "Recurrent networks", Html(), headings=[("why", "Why  gates?")], kind="lesson"),
    Page(
        "batchnorm.html",
        "Batch normalisation",
        Html(),
        headings=[("var", "The variance"), ("exercise-forward", "forward")],
        marks=[Mark("term", "term-var", "var"), Mark("exercise", "exercise-forward", "forward")],
        kind="lesson",
    ),
    Page(
        "api/exp.html", "exp", Html(), headings=[("vjp", "Gradient")], marks=[Mark("function", "", "exp")], kind="api"
    ),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_norm", {"batch", "norm", "batchnorm"}),
        ("MSELoss", {"mse", "loss", "mseloss"}),
        ("the Élément of Straße", {"element", "strasse"}),
        ("γ", {"γ", "gamma"}),
        ("½", {"1", "2"}),
        ("a of the", set()),
        ("", set()),
    ],
)
def test_the_words_that_find_a_text(text: str, words: set[str]) -> None:
    assert words_of(text) == words


def found(word: str) -> set[tuple[str, str]]:
    index = build_index(PAGES)
    places = (index["entries"][number] for number in index["words"].get(word, []))
    return {(index["pages"][place.page][0], place.anchor) for place in places}


def test_places_are_found_by_their_words_and_pages_by_their_names() -> None:
    assert found("gates") == {("rnn.html", "why")}
    assert found("recurrent") == found("rnn") == {("rnn.html", "")}
    assert found("batchnorm") == found("normalisation") == {("batchnorm.html", "")}
    assert found("var") == {("batchnorm.html", "term-var")}
    assert found("forward") == {("batchnorm.html", "exercise-forward")}
    assert found("the") == set()


def test_headings_that_all_pages_of_functions_share_find_none_of_them() -> None:
    assert found("exp") == {("api/exp.html", "")}
    assert found("gradient") == set()


def test_a_place_that_is_marked_is_of_the_kind_of_its_mark() -> None:
    entries = build_index(PAGES)["entries"]
    assert [entry.kind for entry in entries if entry.text == "forward"] == ["exercise"]
    assert [entry.text for entry in entries if entry.anchor == "why"] == ["Why gates?"]


def test_the_index_is_a_script_that_sets_one_global() -> None:
    script = index_script(PAGES)
    before, _, value = script.rstrip(";\n").partition("=")
    assert before == f"globalThis.{GLOBAL}"
    assert json.loads(value) == json.loads(json.dumps(build_index(PAGES)))


# ---- in the browser


@pytest.fixture(scope="module")
def box(browser: Any, site: Any) -> Any:
    """The first page, with its search box."""
    page = browser.new_page()
    page.goto((site.out / "index.html").as_uri())
    yield page
    page.close()


def results(page: Any, text: str) -> list[str]:
    """The links that a search gives, from the site's first page on."""
    page.locator("#search input").fill("")
    page.locator("#search input").fill(text)
    page.wait_for_function("document.querySelector('#search [role=status]').textContent !== ''")
    links = page.locator("#search li a").evaluate_all("all => all.map(it => it.getAttribute('href'))")
    return [link.removeprefix("./") for link in links]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("rnn", "rnn.html"),
        ("batch normalis", "batchnorm.html"),
        ("the BATCHNORM", "batchnorm.html"),
        ("batchnorm var", "batchnorm.html#term-var"),
        ("variational autoencoder", "vae.html"),
        ("nn.softplus", "api/nn.Softplus.html"),
        ("batch_norm", "batchnorm.html"),
        ("functional.batch_norm", "api/nn.functional.batch_norm.html"),
    ],
)
def test_what_comes_first(box: Any, text: str, first: str) -> None:
    assert results(box, text)[:1] == [first]


def test_a_search_is_helped_by_no_case_and_no_accent_and_shows_a_dozen(box: Any) -> None:
    assert results(box, "Distillátion") == results(box, "distillation") != []
    assert len(results(box, "gradient")) == 12
    for word in ("constructor", "__proto__", "hasOwnProperty"):  # every object of JavaScript has these
        assert results(box, word) == results(box, f"{word} loss") == []


def test_arrow_keys_walk_through_the_results_and_escape_closes_them(box: Any) -> None:
    assert len(results(box, "loss")) > 2
    at = "[...document.querySelectorAll('#search li a')].indexOf(document.activeElement)"
    walked = []
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown"):
        box.keyboard.press(key)
        walked.append(box.evaluate(at))
    assert walked == [0, 1, 0, -1, 0]
    box.keyboard.press("Escape")
    assert box.locator("#search li a").count() == 0
    assert box.evaluate("document.activeElement === document.querySelector('#search input')")


def test_the_index_stays_small(site: Any) -> None:
    assert (site.out / "assets/search-index.js").stat().st_size < 150_000
