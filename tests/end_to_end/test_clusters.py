"""Images without classes, by the command line: the network is told of clusters, nobody else takes them for classes."""

import json
import shutil

import numpy as np
import pytest
import torch

from fromnoise.data import arrays
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import BY_CLUSTER

TRAIN = ("train", "--preset", "tiny", "--steps", "6")


@pytest.fixture(scope="module")
def unlabelled(blobs_of, tmp_path_factory, fromnoise):
    """A folder with blobs.npz, which has no labels, and a finished run on it, as `run`."""
    place = tmp_path_factory.mktemp("unlabelled")
    arrays.save(place / "blobs.npz", blobs_of(n=300, classes=3).images)
    run = ("run", "--preset", "tiny", "--steps", "6", "--data", "blobs.npz", "--features", "pixels")
    done = fromnoise(*run, "--clusters", "3", "--n", "50", "--out", "run", cwd=place)
    assert "conditioning on 3 clusters" in done.stderr
    return place


def model_of(run):
    return Model.load(max(run.glob("checkpoints/*/model.safetensors")))


def test_a_run_learns_clusters_and_scores_images_without_classes(unlabelled):
    run = unlabelled / "run"
    info = model_of(run).info
    assert (info.classes, info.clustered) == (3, True)
    assert max(info.class_shares) < 0.5, "the three places of the bright square"
    with np.load(run / "samples" / "images.npz") as generated:
        assert generated.files == ["arr_0"]
    report = json.loads((run / "report.json").read_text())
    assert report["classes"] is None
    assert (report["run"]["training"]["conditioned_on"], report["run"]["sampling"]["guidance"]) == (
        "3 clusters",
        BY_CLUSTER,
    )
    assert report["protocol"]["design"] == "random"
    assert "conditioned on 3 clusters" in (run / "report.html").read_text()
    assert any("have no labels" in note for note in report["notes"])


def test_a_cluster_can_be_drawn_alone(unlabelled, fromnoise, tmp_path):
    sample = ("sample", unlabelled / "run", "--n", "4", "--out")
    for out, more in (("any.npz", ()), ("one.npz", ("--label", "1")), ("plain.npz", ("--guidance", "1"))):
        fromnoise(*sample, out, *more, cwd=tmp_path)
    drawn = [arrays.load(tmp_path / name) for name in ("any.npz", "one.npz", "plain.npz")]
    assert all(images.labels is None for images in drawn)
    assert not np.array_equal(drawn[0].images, drawn[1].images)
    assert not np.array_equal(drawn[0].images, drawn[2].images)
    refused = fromnoise(*sample, "none.npz", "--label", "3", cwd=tmp_path, code=2)
    assert "this model has 3 clusters, counted from 0" in refused.stderr


def test_the_same_command_goes_on_with_the_same_clusters(unlabelled, fromnoise, tmp_path):
    words = (*TRAIN, "--data", unlabelled / "blobs.npz", "--clusters", "3", "--checkpoint-every", "3", "--out", "run")
    fromnoise(*words, cwd=tmp_path)
    model = model_of(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "000006")
    assert "resuming from step 3" in fromnoise(*words, cwd=tmp_path).stderr
    again = model_of(tmp_path / "run")
    assert model.info == again.info
    for one, other in zip(*(each.network.state_dict().values() for each in (model, again)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("more", "classes"), [((), 4), (("--clusters", "3"), 3), (("--clusters", "0"), 0)])
def test_no_labels_means_clusters_in_place_of_classes(fromnoise, tmp_path, more, classes):
    done = fromnoise(*TRAIN, "--no-labels", *more, "--out", "run", cwd=tmp_path)  # 200 digits
    assert ("conditioning on" in done.stderr) == bool(classes)
    info = model_of(tmp_path / "run").info
    assert (info.classes, info.clustered) == (classes, bool(classes))
