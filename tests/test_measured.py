"""Times kept from one run come back as they were, and only a wish measures again."""

import json

import pytest

from swin_edu.book import measured


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RECORDS", tmp_path / "measured.json")
    monkeypatch.delenv("SWIN_EDU_MEASURE", raising=False)
    return tmp_path / "measured.json"


def never():
    raise AssertionError("measured without being asked")


def test_measured_when_asked_and_kept(records, monkeypatch):
    monkeypatch.setenv("SWIN_EDU_MEASURE", "1")
    assert measured.measured("one", lambda: {"windows": [0.0012345, 2.0]}) == {"windows": [0.00123, 2.0]}
    measured.measured("two", lambda: {"global": [1.0]})
    monkeypatch.delenv("SWIN_EDU_MEASURE")
    assert measured.measured("one", never) == {"windows": [0.00123, 2.0]}
    assert measured.measured_on("one") == measured.this_machine()
    assert set(json.loads(records.read_text("utf-8"))) == {"one", "two"}


def test_what_was_never_measured_gets_a_sentence(records):
    with pytest.raises(ValueError, match="no times are kept for 'three'; measure with SWIN_EDU_MEASURE=1"):
        measured.measured("three", never)
    assert not records.exists()
