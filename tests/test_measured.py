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


def test_measured_here_for_a_reader_and_never_kept(records, monkeypatch):
    monkeypatch.setattr(measured, "MEASURED_HERE", set())
    records.write_text(json.dumps({"one": {"machine": "another", "values": {"seconds": [2.0]}}}), "utf-8")
    kept = records.read_bytes()
    assert measured.measured("one", never) == {"seconds": [2.0]}
    monkeypatch.setenv("SWIN_EDU_MEASURE", "0")
    assert measured.measured("one", never, here=True) == {"seconds": [2.0]}
    assert measured.measured_on("one") == "another"
    monkeypatch.delenv("SWIN_EDU_MEASURE")
    assert measured.measured("one", lambda: {"seconds": [0.12345]}, here=True) == {"seconds": [0.12345]}
    assert measured.measured_on("one") == measured.this_machine()
    assert records.read_bytes() == kept


def test_what_was_never_measured_gets_a_sentence(records):
    with pytest.raises(ValueError, match="no times are kept for 'three'; measure with SWIN_EDU_MEASURE=1"):
        measured.measured("three", never)
    assert not records.exists()
