"""The assertions of the chapters: one line when they hold, the difference when they do not."""

import pytest
import torch

from swin_edu.book.device import device
from swin_edu.book.expect import expect

X = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("sentence", "printed"),
    [
        (lambda: expect(X).has_shape(2, 3), "✓ shape (2, 3)"),
        (lambda: expect(X).equals(X.clone()), "✓ all 6 values are equal"),
        (lambda: expect(X).is_close_to(X + 1e-7, within=1e-6), "✓ all 6 values agree within 1e-06"),
        (lambda: expect(X).differs_from(X * 2), "✓ 5 of 6 values differ"),
    ],
)
def test_a_true_sentence_prints_a_line(sentence, printed, capsys):
    sentence()
    assert capsys.readouterr().out == printed + "\n"


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        (lambda: expect(X).has_shape(2, 4), r"expected shape \(2, 4\), got \(2, 3\): axis 1 differs"),
        (lambda: expect(X).has_shape(6), r"expected 1 axes \(6,\), got 2: \(2, 3\)"),
        (lambda: expect(X).equals(X + 1), "6 of 6 values differ"),
        (lambda: expect(X).equals(X.T), r"shapes differ: \(2, 3\) and \(3, 2\)"),
        (
            lambda: expect(X).is_close_to(X + 1e-3, within=1e-6),
            "the largest difference is 1.0e-03, more than 1e-06",
        ),
        (lambda: expect(X).is_close_to(X * float("nan"), within=1), "not a number"),
        (lambda: expect(X).differs_from(X), "expected a difference, but all values are equal"),
    ],
)
def test_a_false_sentence_says_by_how_much(sentence, problem, capsys):
    with pytest.raises(AssertionError, match=problem):
        sentence()
    assert capsys.readouterr().out == ""


def test_device_follows_the_environment(monkeypatch):
    monkeypatch.setenv("SWIN_EDU_DEVICE", "cpu")
    assert device() == torch.device("cpu")
    monkeypatch.setenv("SWIN_EDU_DEVICE", "toaster")
    with pytest.raises(
        ValueError, match="SWIN_EDU_DEVICE is 'toaster', which is no device of the book; use cpu, cuda or mps"
    ):
        device()


@pytest.mark.parametrize("kind", ["cuda", "cuda:9", "mps"])
def test_a_missing_gpu_is_one_sentence(kind, monkeypatch):
    monkeypatch.setenv("SWIN_EDU_DEVICE", kind)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1 if kind == "cuda:9" else 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(
        RuntimeError, match=f"SWIN_EDU_DEVICE is '{kind}', but torch sees (no|1) .*GPU here; use cpu"
    ):
        device()


def test_without_a_wish_the_fastest_device_is_taken(monkeypatch):
    monkeypatch.delenv("SWIN_EDU_DEVICE", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert device() == torch.device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert device() == torch.device("mps")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert device() == torch.device("cpu")
