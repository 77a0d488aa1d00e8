"""One Chromium for all tests, and one site: every lesson at quick size, built as `minigrad site` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright; without either, the tests that want one are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="a browser needs: pip install 'minigrad[browser]'")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine; Debian's package is chromium, $CHROMIUM names another")
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as starting:
        browser = starting.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole site, built; runs that are stored in $MINIGRAD_DATA and up to date are not made again."""
    pytest.importorskip("latex2mathml", reason="pages need the extra: pip install 'minigrad[site]'")
    from lessons.workbench import catalogue
    from lessons.workbench.site.build import build

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        if "MINIGRAD_DATA" not in os.environ:
            patch.setenv("MINIGRAD_DATA", str(tmp_path_factory.mktemp("data")))
        return build(catalogue.all_lessons(), folder)


@pytest.fixture(scope="session")
def pages(site: Any) -> list[Path]:
    """Every page but those of the functions, of which there are some."""
    functions = sorted((site.out / "api").glob("*.html"))
    return [*sorted(site.out.glob("*.html")), site.out / "api/index.html", *functions[::30]]
