"""Fixtures that several test files share."""

import os

import browser
import pytest
from hypothesis import settings

settings.register_profile("book", deadline=None)  # how long a case takes says nothing about its result
settings.load_profile("book")


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    """Draw the same random numbers in every run; another seed than the 0 that tests choose themselves."""
    import torch

    torch.manual_seed(1)


@pytest.fixture
def one_thread():
    """Compute with one thread: on a busy machine, threads would wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def chromium():
    if browser.executable() is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed; the explorers' pages are not tested")
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def sandbox():
    from swin_edu.book.classroom.sandbox import Sandbox, SandboxError  # imports torch

    try:
        Sandbox().check()
    except SandboxError as problem:
        if not os.environ.get("CI"):
            pytest.skip(f"no sandbox here ({problem}); grading is not tested")
        raise


@pytest.fixture
def page(chromium):
    with chromium.new_context(viewport={"width": 1100, "height": 900}) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        problems = []
        page.on("pageerror", lambda problem: problems.append(str(problem)))
        yield page
        assert not problems
