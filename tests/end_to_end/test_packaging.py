"""From the pictures of Debian's packages to the packaged model, on packages made here."""

import numpy as np
import pytest
from PIL import Image

from fromnoise import rng
from fromnoise.errors import UserError
from fromnoise.generation import pretrained
from fromnoise.generation.model import Model
from fromnoise.training.run_folder import RunFolder
from tools import make_clipart, package_model

STARS = [f"shapes/stars/{k:02}.png" for k in range(20)]
DRAWN = ["animals/birds/owl.png", "animals/frog.png", "kstars.png", *STARS, "tools/saw.png"]
ICONS = ["actions/go.png", "mimetypes/application-pdf.png", "mimetypes/text.png"]


@pytest.fixture
def clipart(tmp_path):
    """The folder of pictures, made of two unpacked packages."""
    openclipart = tmp_path / "packages/openclipart-png/usr/share/openclipart/png"
    tango = tmp_path / "packages/tango-icon-theme/usr/share/icons/Tango/32x32"
    for k, path in enumerate([openclipart / name for name in DRAWN] + [tango / name for name in ICONS]):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.generator(0, "picture", k).integers(0, 256, (16, 16, 4), np.uint8)
        Image.fromarray(pixels).save(path)
    (tango / "actions/jump.png").symlink_to("go.png")
    (openclipart / "tools/again.png").symlink_to("../animals/frog.png")
    (openclipart / "animals/frog.txt").write_text("a frog")
    settings = make_clipart.Settings(tmp_path / "packages", tmp_path / "clipart")
    make_clipart.main(settings)
    return settings


def test_pictures_are_named_by_their_places_without_most_stars_and_what_is_not_free(clipart, capsys):
    assert sorted(path.name for path in clipart.out.iterdir()) == [
        "oc__animals__birds__owl.png",
        "oc__animals__frog.png",
        "oc__kstars.png",
        "oc__shapes__stars__05.png",  # the eighth file of all, counted from 0
        "oc__shapes__stars__13.png",
        "oc__tools__again.png",
        "oc__tools__saw.png",
        "tango__actions__go.png",
        "tango__mimetypes__text.png",
    ]
    assert (clipart.out / "oc__tools__again.png").read_bytes() == (clipart.out / "oc__animals__frog.png").read_bytes()
    with pytest.raises(UserError, match="clipart exists: remove it"):
        make_clipart.main(clipart)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The packaged models' files, in another place."""
    files = {name: tmp_path / f"{name}.safetensors" for name in pretrained.FILES}
    monkeypatch.setattr(pretrained, "FILES", files)
    return files


def test_a_runs_model_goes_into_the_package_and_by_its_name_out_of_it(clipart, files, fromnoise, tmp_path, capsys):
    words = ("--preset", "tiny", "--m", "None", "--steps", "2", "--init", "none", "--out", "run")
    fromnoise("train", "--data", clipart.out, *words, cwd=tmp_path)
    package_model.main(package_model.Arguments("clipart", tmp_path / "run"))
    said = capsys.readouterr().out
    assert "grey levels at most" in said
    assert "no report" in said
    model, found = Model.load(RunFolder(tmp_path / "run").model_file()), Model.load(files["clipart"])
    assert found.config.data.data == "clipart"
    for name, value in model.network.state_dict().items():
        assert (found.network.state_dict()[name] == value.half().float()).all()
    fromnoise("sample", "clipart", "--n", "2", "--steps", "2", "--out", "two.npz", cwd=tmp_path / "packages")
    with pytest.raises(UserError, match=r"was trained on .*clipart.*, not on digits"):
        package_model.main(package_model.Arguments("digits", tmp_path / "run"))


def test_digits_need_a_report_without_copies(fromnoise, files, tmp_path):
    fromnoise("train", "--preset", "tiny", "--m", "None", "--steps", "1", "--out", "run", cwd=tmp_path)
    with pytest.raises(UserError, match="no report"):
        package_model.main(package_model.Arguments("digits", tmp_path / "run"))
    assert not files["digits"].exists()
