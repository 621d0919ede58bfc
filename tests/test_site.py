"""The book as static pages: complete without kernel and network, usable by everybody, no dead end."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import axe_playwright_python
import nbformat
import pytest

from swin_edu.book import site
from swin_edu.book.pages.addresses import Addresses
from swin_edu.book.pages.text import Text
from swin_edu.book.write import ROOT, chapters

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
# What axe finds depends on a span's class, not on how often it stands in the code: one of each is enough,
# as are the first rows of the glossary.
FEWER_ALIKE = """() => {
  for (const row of document.querySelectorAll("main tr:nth-child(n + 20)")) row.remove();
  const seen = new Set();
  for (const span of document.querySelectorAll(".highlight pre span")) {
    if (seen.has(span.className)) span.replaceWith(...span.childNodes);
    seen.add(span.className);
  }
}"""
RUN_AXE = """async (runOnly) => {
  const { violations } = await axe.run({
    ...(runOnly && { runOnly }),
    resultTypes: ["violations"],
    preload: false, // a page from a file may not read its style sheet again, and no rule here needs it
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3)}`);
}"""
# The rules of axe that look at colours and sizes; the others say the same in light and dark, wide and narrow.
APPEARANCE = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
# What these chapters hold has all classes of the style sheet: pictures, explorers of both kinds, formulas,
# tables, code and its output, folded answers. At night the others look like them.
WITH_ALL_KINDS = ("00", "05", "08", "13", "16")
SENTENCES = (
    "() => [...document.querySelectorAll('.swin-explorer')].map((one) => one.lastElementChild.innerText)"
)
HEAVIEST = 3_000_000  # bytes of a page with all that it loads, the index of the search too
LINK = re.compile(r'\s(?:href|src|srcset)="([^"]*)"')
ANCHOR = re.compile(r'\sid="([^"]*)"')


@pytest.fixture(scope="module")
def files():
    return site.site(chapters())


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.move_in(folder, files)
    return folder


@pytest.fixture(scope="module")
def context(chromium):
    with chromium.new_context(
        offline=True, viewport={"width": 1280, "height": 900}, color_scheme="light"
    ) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context


@pytest.fixture
def tab(context):
    """A page whose troubles are remembered; it loads nothing from elsewhere."""
    tab = context.new_page()
    tab.troubles, tab.loaded = [], set()
    tab.on("console", lambda message: message.type == "error" and tab.troubles.append(message.text))
    tab.on("pageerror", lambda problem: tab.troubles.append(str(problem)))
    tab.on("request", lambda request: tab.loaded.add(request.url))
    yield tab
    tab.close()
    assert tab.troubles == []
    assert [url for url in tab.loaded if not url.startswith(("file:", "data:"))] == []


def weight(folder, loaded):
    names = {unquote(url.removeprefix(folder.as_uri()).partition("#")[0]) for url in loaded}
    return sum((folder / name.lstrip("/")).stat().st_size for name in names | {"files/passages.js"})


def violations(tab, rules=None):
    """Return what axe finds; of the rules given, or of all."""
    tab.evaluate(FEWER_ALIKE)
    tab.evaluate(AXE)
    return tab.evaluate(RUN_AXE, rules)


def turn_dark_and_narrow(tab):
    """Look at the page at night on a phone, with all answers open; nothing may stick out."""
    tab.emulate_media(color_scheme="dark")
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.evaluate("for (const answer of document.querySelectorAll('main details')) answer.open = true")
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 29)"


def move(tab, control):
    """Move one control by its keyboard, whichever way it can go."""
    before = tab.evaluate(SENTENCES)
    control.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        tab.keyboard.press(key)
        if tab.evaluate(SENTENCES) != before:
            return True
    return False


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_chapter_is_alive_and_open_to_all_without_network(tab, folder, path):
    tab.goto((folder / f"{path.stem}.html").as_uri())
    for explorer in tab.locator(".swin-explorer").all():
        assert move(tab, explorer.locator("input").first)
    assert tab.locator("[data-script] img").count() == 0  # the still pictures have given way
    assert tab.evaluate("[...document.images].every((one) => one.naturalWidth && one.alt.trim())")
    assert tab.locator("nav [aria-current=page]").count() == 1
    assert weight(folder, tab.loaded) <= HEAVIEST
    assert violations(tab) == []
    turn_dark_and_narrow(tab)
    if path.name[:2] in WITH_ALL_KINDS:
        assert violations(tab, APPEARANCE) == []


@pytest.mark.parametrize("name", ["index", "README", "LICENSE", "CONTRIBUTING", "swin_edu.model"])
def test_other_pages_are_open_to_all(tab, folder, name):
    """In light they have no colour that chapters do not have; pages of modules differ in their code only."""
    tab.goto((folder / f"{name}.html").as_uri())
    turn_dark_and_narrow(tab)
    assert violations(tab) == []


def test_every_output_of_a_chapter_is_on_its_page(files):
    for path in chapters():
        page, outputs = files[f"{path.stem}.html"].decode(), []
        for cell in nbformat.read(path, as_version=4).cells:
            outputs += cell.get("outputs", [])
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        assert len(re.findall(rf'<img [^>]*src="pictures/{path.stem}', page)) == len(pictures)
        texts = [
            output for output in outputs if output.get("data", {"text/plain": 0}).keys() == {"text/plain"}
        ]
        assert page.count('<pre class="output">') == len(texts)


def test_no_link_and_no_anchor_is_dead(files):
    pages = {name: data.decode() for name, data in files.items() if name.endswith(".html")}
    anchors = {name: {html.unescape(one) for one in ANCHOR.findall(text)} for name, text in pages.items()}
    dead = []
    for name, text in pages.items():
        for link in map(
            html.unescape, LINK.findall(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
        ):
            file, _, anchor = link.partition("#")
            there = unquote(file) or name
            if not link.startswith(("https:", "http:", "data:")) and (
                there not in files or (anchor and unquote(anchor) not in anchors[there])
            ):
                dead.append((name, link))
    assert dead == []
    assert all(len(set(found)) == len(found) for found in map(ANCHOR.findall, pages.values()))


def test_chapters_lead_to_each_other_and_to_the_modules(files):
    page = files["03_windows.html"].decode()
    assert 'rel="prev" href="02_attention.html"' in page
    assert 'rel="next" href="04_shift_and_mask.html"' in page
    assert '<a href="02_attention.html">chapter 2</a>' in page
    assert '<p class="file"><a href="swin_edu.windows.html">swin_edu/windows.py</a></p>' in page
    leading = re.search(r'<p class="leading">(.*?)</p>', files["swin_edu.windows.html"].decode(), re.DOTALL)
    assert 'href="03_windows.html"' in leading[1]


def test_all_formulas_are_mathml(files):
    assert 'display="block"' in files["05_position.html"].decode()
    for name, data in files.items():
        if name.endswith(".html"):
            prose = re.sub(r"<(script|pre|code)\b.*?</\1>", "", data.decode(), flags=re.DOTALL)
            assert not re.search(r"\\(frac|cdot|sum|sqrt|text|exp|left)\b", prose), name


def test_search_finds_by_keyboard_and_jumps_to_the_heading(tab, folder):
    tab.goto((folder / "index.html").as_uri())
    tab.keyboard.press("/")
    tab.keyboard.type("window_reverse inverse")
    tab.wait_for_selector("#results a")
    assert re.fullmatch(r"(The best 40 of )?\d+ sections", tab.locator("#results [role=status]").inner_text())
    first = tab.locator("#results a").first
    assert first.locator("mark").count() >= 1
    assert violations(tab) == []
    tab.emulate_media(color_scheme="dark")
    assert violations(tab, APPEARANCE) == []
    tab.keyboard.press("ArrowDown")
    address = first.get_attribute("href")
    page, _, anchor = address.partition("#")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/{page}*")
    assert tab.evaluate("(anchor) => location.hash === '#' + anchor", anchor)
    heading = tab.locator(f'[id="{unquote(anchor)}"]')
    assert heading.evaluate("(one) => /^H[1-6]$/.test(one.tagName) && one.getBoundingClientRect().top < 200")


def test_search_ranks_headings_first_and_says_when_nothing_is_found(tab, folder):
    tab.goto((folder / "02_attention.html").as_uri())
    tab.locator("#query").fill("the sign of the roll")
    tab.wait_for_selector("#results a")
    assert (
        tab.locator("#results strong").first.inner_text() == "4 · Shift and mask › 4.10 The sign of the roll"
    )
    tab.locator("#query").fill("zzyzx")
    tab.get_by_text("Nothing found.").wait_for()
    tab.keyboard.press("Escape")
    assert tab.locator("#results").is_hidden()


def test_dark_mode_follows_the_system_until_the_reader_chooses(tab, folder):
    def dark():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 29)"

    def shows(name):
        """Tell whether the page comes to show a picture: it is loaded a moment after a change."""
        tab.wait_for_function(
            "(name) => document.querySelector('picture img').currentSrc.endsWith('/' + name)", arg=name
        )
        return True

    tab.goto((folder / "index.html").as_uri())
    assert not dark() and shows("figures.windows_and_shift.png")
    tab.emulate_media(color_scheme="dark")
    assert dark() and shows("figures.dark.windows_and_shift.png")
    tab.get_by_role("button", name="Dark mode", pressed=True).click()
    assert not dark() and shows("figures.windows_and_shift.png")
    tab.goto((folder / "01_patches.html").as_uri())
    assert not dark()  # remembered on the next page
    tab.get_by_role("button", name="Dark mode", pressed=False).click()
    tab.emulate_media(color_scheme="light")
    assert dark()
    assert tab.locator(".explorer").first.evaluate("(one) => getComputedStyle(one).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    tab.evaluate("localStorage.clear()")


def test_code_is_copied_as_it_stands_in_the_cell(tab, folder):
    path = ROOT / "notebooks/03_windows.ipynb"
    cell = next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    tab.goto((folder / "03_windows.html").as_uri())
    tab.get_by_role("button", name="Copy this code").first.click()
    tab.get_by_text("Copied", exact=True).wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == cell.source + "\n"


def test_print_shows_the_text_whole_and_nothing_else(tab, folder):
    tab.goto((folder / "03_windows.html").as_uri())
    assert tab.locator("main details[open]").count() == 0
    tab.set_viewport_size({"width": 700, "height": 900})
    tab.emulate_media(media="print", color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("main details").count() == tab.locator("main details[open]").count() > 0
    for hidden in ("header", ".columns > nav", ".beside", ".copy", "footer"):
        assert not any(one.is_visible() for one in tab.locator(hidden).all())
    cut = "[...document.querySelectorAll('pre')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert tab.evaluate(cut) == 0
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(26, 26, 26)"
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("main details[open]").count() == 0


def test_a_page_reads_without_scripts(chromium, folder):
    with chromium.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((folder / "03_windows.html").as_uri())
        assert page.get_by_role("searchbox").count() == 0
        assert page.locator("[data-script] img").is_visible()  # the still picture stays


def test_the_command_builds_the_same_bytes_again(tmp_path):
    command = [sys.executable, "-m", "swin_edu", "site", str(tmp_path / "out"), "03"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("pages; open " + str(tmp_path / "out/index.html") + "\n")
    out = tmp_path / "out"
    written = {
        path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }
    again = site.site(chapters(ROOT, ["03"]))
    assert written.keys() == again.keys()
    assert [name for name in again if again[name] != written[name]] == []
    assert b'href="04_' not in written["03_windows.html"]  # of what is not chosen there is no page


def test_an_unknown_chapter_is_one_sentence(tmp_path, capsys):
    assert site.main(tmp_path, ["77"]) == 1
    assert capsys.readouterr().err.startswith("no notebook begins with '77'; there are 00_start_here, ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_instead_of_a_folder_is_one_sentence(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert site.main(tmp_path / "out", []) == 1
    assert capsys.readouterr().err == f"OUT is {tmp_path / 'out'}, which is a file; name a folder\n"
    assert (tmp_path / "out").read_text() == "mine"


def test_without_notebooks_it_says_where_to_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(site, "chapters", lambda *given: [])
    assert site.main(tmp_path, []) == 1
    assert capsys.readouterr().err.endswith("run this in a clone of the book\n")


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    site.move_in(tmp_path, {"index.html": b"old", "files/a": b"old"})
    (tmp_path / "mine.txt").write_text("mine")
    write = Path.write_bytes

    def full(path, data):
        if path.name == "index.html":
            raise OSError("No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError):
        site.move_in(tmp_path, {"files/a": b"new", "index.html": b"new"})
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert found == {"index.html": b"old", "mine.txt": b"mine"}
    assert (tmp_path / "files/a").read_bytes() == b"old"


def written(source):
    [page] = chapters(ROOT, ["03"])
    return Text(page, Addresses(chapters(ROOT, ["02", "03"]))).html(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("## Why `a` ?\n## Why `a` ?", '<h2 id="Why-a-?">Why <code>a</code> ?</h2>\n<h2 id="Why-a-?-2">'),
        ("see chapter 2", 'see <a href="02_attention.html">chapter 2</a>'),
        ("chapters 2, 3 and 4", 'chapters <a href="02_attention.html">2</a>, 3 and 4'),  # 3 is this one
        ("[chapter 2](02_attention.ipynb#2.1-a)", '<a href="02_attention.html#2.1-a">chapter 2</a>'),
        ("[four](04_shift_and_mask.ipynb)", "<p>four</p>"),
        ("[here](#a-%E2%80%94b)", '<a href="#a-%E2%80%94b">here</a>'),
        ("[code](../swin_edu/model.py)", '<a href="swin_edu.model.html">code</a>'),
        ("`swin_edu/model.py`", '<a href="swin_edu.model.html"><code>swin_edu/model.py</code></a>'),
        ("`swin_edu/none.py`", "<p><code>swin_edu/none.py</code></p>"),
        ("![a](../figures/zoom.png)", '<img src="pictures/figures.zoom.png" alt="a" />'),
        ('<source srcset="../figures/zoom.png">', '<source srcset="pictures/figures.zoom.png">'),
        ('<a href="02_attention.ipynb">2</a>', '<a href="02_attention.html">2</a>'),
        ("| | a |\n|---|---|\n| b | c |", '<td></td>\n  <th scope="col">a</th>'),
        ("| | a |\n|---|---|\n| b | c |", '<th scope="row">b</th>\n  <td>c</td>'),
        ("mask, 掩码", '<span lang="zh">掩码</span>'),
        ("$a_i$", "<math><msub><mi>a</mi><mi>i</mi></msub></math>"),
    ],
)
def test_text_becomes_html_of_the_site(source, expected):
    assert expected in written(source)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("[a](../nowhere.py)", "notebooks/03_windows.ipynb links to ../nowhere.py, which is not there"),
        (r"$\nonsense$", r"the formula '\\nonsense' cannot be read: "),
    ],
)
def test_what_leads_nowhere_stops_the_build(source, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        written(source)
