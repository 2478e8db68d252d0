import pytest

from fromnoise.faces.tables import METRICS, print_score


@pytest.fixture
def shown(capsys):
    def show(report):
        print_score(report)
        return [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]

    return show


def summary(value, deviation=None):
    return {"value": value, "deviation": deviation, "draws": 2 if deviation else 1, "n": 1000}


def report():
    fid = {"value": 1.3264, "error": None, "n": 1000, "floor": summary(0.07, 0.01), "copycat": None, "ratio": 18.95}
    fid["noise"] = summary(180.0)
    return {
        "metrics": {"fid": fid, "classes": None} | dict.fromkeys(METRICS),
        "protocol": {"features": {"name": "digits"}, "reference": {"name": "digits:heldout", "n": 1000}},
        "notes": ["a [note]"],
    }


def test_the_fid_stands_beside_floor_copycat_and_noise(shown):
    lines = shown(report())
    assert lines[0] == "FID in digits features against 1,000 of digits:heldout"
    assert "generated 1.326 1,000 this model's images" in lines
    assert "floor 0.070 ± 0.010 1,000 real images that the model never saw" in lines
    assert "copycat unknown the training images: a model that only memorised" in lines
    assert "ratio 18.9 generated over floor" in lines
    assert lines[-1] == "note: a [note]"
    assert "noise 180.000 1,000 random bytes" in lines
    assert not any(line.startswith(("classes", "copies", "likelihood")) for line in lines)


def test_inceptions_weights_are_named(shown):
    scored = report()
    scored["protocol"]["features"] = {"name": "inception", "sha256": "0123456789abcdef" * 4}
    assert "(weights SHA-256 0123456789abcdef…)" in " ".join(shown(scored)[:3])


def test_the_other_metrics_classes_and_the_verdict_follow(shown):
    whole = report()
    whole["metrics"] |= {
        "kid": {"value": 0.5, "error": 0.02, "n": 1000, "floor": summary(0.0014, 0.0005), "copycat": None},
        "fid_infinity": None,
        "two_sample": {"accuracy": 0.91, "p": 1e-9, "n": 1000, "floor": summary(0.5), "copycat": summary(0.52)},
        "classes": {
            "balance": {"counts": [1, 2], "expected": [1.5, 1.5], "chi2": 0.333, "p": 0.5637},
            "fid": [],
            "learned": {"accuracy": 0.9, "n": 1000, "real_accuracy": 0.99, "real_n": 800},
        },
    }
    whole["copies"] = {"verdict": "no sign of copying"}
    lines = shown(whole)
    assert "KID 0.500 ± 0.020 0.001 ± 0.001 unknown kernel distance, unbiased" in lines
    assert any(line.startswith("two-sample test 0.910 0.500 0.520") for line in lines)
    assert not any("FID∞" in line for line in lines)
    assert "classes: χ² test of their shares against the reference's, p = 0.564" in lines
    learnt = "a classifier trained on 1,000 generated images is right on 0.900 of the reference"
    assert f"{learnt} (0.990 when trained on 800 training images)" in lines
    assert "copies: no sign of copying" in lines
    whole["metrics"]["classes"] = whole["copies"] = None
    assert not any(line.startswith(("classes", "copies")) for line in shown(whole))
