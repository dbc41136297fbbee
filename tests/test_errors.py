"""What a user is told to do."""

from importlib.metadata import PackageNotFoundError

import pytest

import hyperfit.errors as errors
from hyperfit.errors import first_line, pip_install


def test_packages_to_install_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["torch>=2", "lm-eval<0.5,>=0.4; extra == 'eval'", "plain; extra == 'x'", "some[more]>=1"]
    monkeypatch.setattr(errors, "requires", lambda name: asked)
    assert pip_install("lm-eval", "plain", "other") == "pip install 'lm-eval<0.5,>=0.4' plain other"
    assert pip_install("some") == "pip install 'some[more]>=1'"


def test_packages_to_install_where_hyperfit_is_only_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(errors, "requires", unknown)
    assert pip_install("lm-eval") == "pip install lm-eval"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("\n  two lines:\nthe second"), "two lines:"),
        (AssertionError(), "AssertionError"),
        (KeyError("width"), "'width'"),
    ],
)
def test_the_first_line_of_an_error(error: Exception, said: str) -> None:
    assert first_line(error) == said
