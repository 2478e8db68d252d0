from types import SimpleNamespace

import pytest

from fromnoise.errors import Failed, UserError
from fromnoise.experiment import verdicts


def report(**found):
    return SimpleNamespace(**({"copies": None, "told_apart": None, "overfitting": None} | found))


def test_names_are_a_comma_list_of_known_ones():
    assert verdicts.named(None) == ()
    assert verdicts.named("copying, overfitting") == ("copying", "overfitting")
    for text in ("copies", "", "copying,"):
        with pytest.raises(UserError, match=r"unknown verdict .*; choose one of: copying, "):
            verdicts.named(text)


def test_only_what_was_asked_for_fails_and_all_of_it_is_said():
    bad = report(
        copies=SimpleNamespace(verdict="copying: 9 %"),
        told_apart=SimpleNamespace(verdict="told apart: AUC 0.7", told=True),
        overfitting=SimpleNamespace(verdict="overfitting: +21 %", overfitted=True),
    )
    verdicts.check(bad, ())
    with pytest.raises(Failed, match=r"^copying: copying: 9 %; overfitting: overfitting: .21 %$") as failed:
        verdicts.check(bad, ("copying", "overfitting"))
    assert failed.value.code == 3
    with pytest.raises(Failed, match=r"^told-apart: told apart: AUC 0.7$"):
        verdicts.check(bad, ("told-apart",))
    good = report(copies=SimpleNamespace(verdict="no sign of copying"), told_apart=SimpleNamespace(told=False))
    verdicts.check(good, ("copying", "told-apart"))


@pytest.mark.parametrize("name", verdicts.VERDICTS)
def test_what_was_not_tested_fails(name):
    with pytest.raises(Failed, match=f"^{name}: not tested"):
        verdicts.check(report(), (name,))
