"""Exported pages: alive with no kernel and no network."""

import pytest

from swin_edu.book import site
from swin_edu.book.write import chapters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    assert site.main(folder, []) == 0
    return folder


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_page_is_alive_without_network(chromium, folder, path):
    with chromium.new_context(offline=True) as context:
        page, troubles = context.new_page(), []
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.on("pageerror", lambda problem: troubles.append(str(problem)))
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url),
        )
        page.goto((folder / f"{path.stem}.html").as_uri())
        slider = page.locator(".swin-explorer input").first
        sentence = page.locator(".swin-explorer p").first
        before = sentence.inner_text()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert sentence.inner_text() != before
        assert page.locator("[data-script] img").count() == 0  # the still picture has given way
        assert page.title()
        assert page.locator("img:not([alt])").count() == 0
        assert troubles == []


def test_links_between_chapters_become_links_between_pages(folder):
    assert 'href="01_patches.html"' in (folder / "00_start_here.html").read_text("utf-8")


def test_an_unknown_chapter_is_one_sentence(tmp_path, capsys):
    assert site.main(tmp_path, ["77"]) == 1
    assert capsys.readouterr().err.startswith("no notebook begins with '77'; there are 00_start_here, ")
    assert list(tmp_path.iterdir()) == []
