import copy
import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from fromnoise import rng
from fromnoise.config import PRESETS, with_budget
from fromnoise.errors import UserError
from fromnoise.files import read_json
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.generation.pretrained import packaged
from fromnoise.training.batches import Batches
from fromnoise.training.initial import initial, same_classes
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.run_folder import RunFolder


@pytest.fixture
def source(tiny_model, tmp_path):
    tiny_model.save(tmp_path / "source.safetensors")
    return tmp_path / "source.safetensors"


def test_the_packaged_model_fits_the_default_training_of_digits():
    there = Model.load(packaged("digits"))
    mine = Model.build(with_budget(PRESETS["fast"], "fast"), there.info)
    mine.network.load_state_dict(initial(mine, packaged("digits"), "digits").weights)


def test_the_model_of_clip_art_fits_the_default_training_of_other_images(blobs_of):
    config, images = with_budget(PRESETS["fast"], "fast"), blobs_of(channels=3, size=24, classes=2)
    mine = Model.build(config, DataInfo.of(images, config))
    start = initial(mine, packaged("clipart"), "clipart")
    mine.network.load_state_dict(start.weights)
    assert start.adapted == "classes (40 clusters → 2 classes), channels (RGBA → RGB)"


@pytest.fixture
def train(train, images, config_of, source):
    def run(name="run", start=True, stop=None, **training):
        """Train from `source` in a folder of that name, reading it only at the `start`; returns the folder."""
        config = config_of(training={"init": str(source), **training})
        model = Model.build(config, DataInfo.of(images, config))
        return train(config, name, stop, log_every=1, initial=initial(model, source, str(source)) if start else None)[0]

    return run


def test_the_first_loss_is_the_models_own(train, images, source):
    folder = train(steps=1)
    model = Model.load(source)
    batch = Batches(model, images)(0)
    with torch.no_grad():
        errors = model.objective().errors(model.denoiser(), batch.x0, batch.noise, batch.u, batch.label)
    assert folder.log.records()[0]["loss"] == pytest.approx(errors.mean().item(), rel=1e-5)


def test_weights_and_averages_start_from_the_models(train, tensors, source):
    found = tensors(train(steps=1, lr=1e-12))
    for name, tensor in load_file(source).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-9)
        torch.testing.assert_close(found[f"weights.{name}"], tensor, rtol=0, atol=1e-9)


def test_a_resumed_training_needs_the_model_no_more_and_ends_with_the_same_bits(train, assert_same, source):
    whole = train("whole", steps=9)
    with pytest.raises(Interrupted):
        train("pieces", stop=4, steps=9)
    source.unlink()
    assert_same(whole, train("pieces", start=False, steps=9))


def test_the_model_files_hash_is_written_down_and_held_to(train, source, tiny_model, images, config_of, tmp_path):
    begin = initial(tiny_model, source, str(source))
    folder, config = RunFolder(tmp_path / "run"), config_of(training={"init": str(source)})
    with folder.open(config, images, begin):
        pass
    assert read_json(folder.config_file)["init"] == {"file": str(source), "sha256": begin.sha256}
    folder.check(config, images, begin)
    with pytest.raises(UserError, match=r"has changed since .* started from its weights"):
        folder.check(config, images, dataclasses.replace(begin, sha256="0"))
    with pytest.raises(UserError, match=r"init: .*other.*, .*source"):
        folder.check(config_of(training={"init": str(tmp_path / "other")}), images)


def test_without_a_whole_checkpoint_and_the_model_nothing_starts_at_random(train):
    folder = train(steps=2)
    for step in folder.steps():
        (folder.checkpoint(step) / CHECKPOINT_FILE).write_bytes(b"damaged")
    with pytest.raises(UserError, match="no intact checkpoint"):
        train(start=False, steps=2)


@pytest.mark.parametrize(
    ("rooms", "difference"),
    [
        ({"network": {"channels": (32, 48)}}, "channels: 32 48, 16; set --channels 16"),
        ({"diffusion": {"prediction": "x0"}}, "prediction: x0, v; set --prediction v"),
        ({"network": {"blocks": 2, "stem": 1}}, "blocks: 2, 1; stem: 1, 2; set --blocks 1 --stem 2"),
    ],
)
def test_another_network_is_refused_with_what_differs_and_what_to_set(tiny_model, source, config_of, rooms, difference):
    model = Model.build(config_of(**rooms), tiny_model.info)
    with pytest.raises(UserError, match=rf"\(this run, that model\): {difference}$"):
        initial(model, source, str(source))


@pytest.fixture
def started(tiny_model, source, config_of):
    """A network for other data, fresh and with the weights of `source`, and what was adapted."""

    def start(augment=0.0, **info):
        info = {"mean": (0.0,) * info.get("channels", 1), "decoder": ()} | info
        info = dataclasses.replace(tiny_model.info, **info)
        model = Model.build(config_of(training={"augment": augment}), info)
        found = initial(model, source, str(source))
        fresh = copy.deepcopy(model.network)
        model.network.load_state_dict(found.weights)
        return fresh, model.network, found.adapted

    return start


@pytest.fixture
def noisy():
    """Three noisy images of so many channels, and their levels."""

    def draw(channels=1, height=16, width=16):
        return rng.normal((3, channels, height, width), 0, "x"), torch.tensor([-4.0, 0.0, 4.0])

    return draw


def changed(network, other):
    """The names of the tensors that are not the same in both."""
    ours, theirs = network.state_dict(), other.state_dict()
    return {name for name in ours | theirs if not torch.equal(ours.get(name, NOTHING), theirs.get(name, NOTHING))}


NOTHING = torch.zeros(0)


def test_another_size_has_the_same_weights(started, tiny_model):
    _, network, adapted = started(height=24, width=8)
    assert changed(network, tiny_model.network) == set()
    assert adapted == ""


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1,) * 10])
def test_new_classes_start_as_any_class(started, tiny_model, noisy, shares):
    _, network, adapted = started(class_shares=shares)
    assert changed(network, tiny_model.network) == {"embedding.label.weight"}
    assert adapted == f"classes (4 classes → {len(shares)} classes)"
    x, levels = noisy()
    for label in (torch.tensor([0, 1, 1]), None):
        assert torch.equal(network(x, levels, label), tiny_model.network(x, levels))


def test_without_classes_every_image_is_of_any_class(started, tiny_model, noisy):
    _, network, adapted = started(class_shares=())
    assert adapted == "classes (4 classes → no classes)"
    torch.testing.assert_close(network(*noisy()), tiny_model.network(*noisy()))


def test_classes_start_where_there_were_none(started, tiny_model, source, noisy, config_of):
    info = dataclasses.replace(tiny_model.info, class_shares=())
    plain = Model.build(config_of(), info)
    plain.network.load_state_dict(plain.network.adapted(tiny_model.network.state_dict(), True))
    plain.save(source)
    _, network, adapted = started()
    assert adapted == "classes (no classes → 4 classes)"
    x, levels = noisy()
    assert torch.equal(network(x, levels, torch.tensor([0, 1, 3])), plain.network(x, levels))


@pytest.mark.parametrize(
    ("info", "same"),
    [
        ({"class_shares": (0.1, 0.2, 0.3, 0.4)}, True),
        ({"class_names": ("ant", "bee", "cat", "dog")}, False),
        ({"clustered": True}, False),
    ],
)
def test_as_many_classes_keep_their_weights_but_clusters_of_other_images_do_not(started, tiny_model, info, same):
    _, network, _ = started(**info)
    assert changed(network, tiny_model.network) == (set() if same else {"embedding.label.weight"})


def test_clusters_and_names_tell_whether_classes_are_the_same(tiny_model):
    def same(one, other):
        return same_classes(*(dataclasses.replace(tiny_model.info, **info) for info in (one, other)))

    clusters, others = ({"clustered": True, "class_shares": shares} for shares in ((0.5, 0.5), (0.4, 0.6)))
    assert same(clusters, clusters)
    assert not same(clusters, others)
    cats, dogs = ({"class_names": tuple(names)} for names in ("abcd", "abce"))
    assert same(cats, cats)
    assert not same(cats, dogs)
    assert not same(cats, {"class_names": ()}), "whose classes nobody knows"


def test_changes_start_as_in_a_new_network_and_are_left_out_where_there_are_none(
    started, tiny_model, source, noisy, config_of
):
    fresh, network, adapted = started(augment=0.3)
    assert changed(network, tiny_model.network) == {"embedding.change.weight"}
    assert torch.equal(network.embedding.change.weight, fresh.embedding.change.weight)
    assert adapted == "--augment (only here)"
    with torch.no_grad():
        network.embedding.change.weight += 1
    Model(config_of(training={"augment": 0.3}), tiny_model.info, network).save(source)
    _, plain, adapted = started()
    assert changed(plain, tiny_model.network) == set()
    assert adapted == ""
    _, again, _ = started(augment=0.5)
    assert changed(again, network) == set()


def test_grey_counts_as_colour_of_equal_channels(started, tiny_model, noisy):
    _, network, adapted = started(channels=3)
    assert adapted == "channels (grey → RGB)"
    x, levels = noisy(3)
    grey = tiny_model.network(x.mean(dim=1, keepdim=True), levels)
    torch.testing.assert_close(network(x, levels), grey.expand(-1, 3, -1, -1))


@pytest.fixture
def coloured(tiny_model, source, noisy, config_of):
    """A model of RGBA images in the place of `source`."""
    info = dataclasses.replace(tiny_model.info, channels=4, mean=(0.0,) * 4, decoder=())
    model = Model.build(config_of(), info)
    for parameter in model.network.parameters():
        if not parameter.any():
            parameter.data = rng.normal(tuple(parameter.shape), 0, "weights") / 20
    model.save(source)
    return model.network


def test_alpha_counts_as_the_mean_of_the_colours(started, coloured, noisy):
    _, network, adapted = started(channels=3)
    assert changed(network, coloured) == {"first.weight", "last.weight", "last.bias"}
    assert adapted == "channels (RGBA → RGB)"
    x, levels = noisy(3)
    transparent = torch.cat([x, x.mean(dim=1, keepdim=True)], dim=1)
    torch.testing.assert_close(network(x, levels), coloured(transparent, levels)[:, :3])


def test_grey_is_the_mean_of_what_colour_of_equal_channels_gives(started, coloured, noisy):
    _, network, _ = started(channels=1)
    x, levels = noisy()
    transparent = x.expand(-1, 4, -1, -1)
    torch.testing.assert_close(network(x, levels), coloured(transparent, levels)[:, :3].mean(dim=1, keepdim=True))


def test_a_new_alpha_is_the_mean_of_the_colours(started, tiny_model, noisy):
    _, network, adapted = started(channels=4)
    assert adapted == "channels (grey → RGBA)"
    x, levels = noisy(4)
    grey = tiny_model.network(x[:, :3].mean(dim=1, keepdim=True), levels)
    torch.testing.assert_close(network(x, levels), grey.expand(-1, 4, -1, -1))


def test_channels_that_are_no_colours_start_afresh(started, tiny_model):
    fresh, network, adapted = started(channels=2)
    assert changed(network, tiny_model.network) == {"first.weight", "last.weight", "last.bias"}
    for name in ("first.weight", "last.weight", "last.bias"):
        assert torch.equal(network.state_dict()[name], fresh.state_dict()[name])
    assert adapted == "channels (grey → 2 channels)"


def test_a_file_that_is_no_model_is_refused(tiny_model, tmp_path):
    (tmp_path / "words").write_text("words")
    with pytest.raises(UserError, match="not a complete safetensors file"):
        initial(tiny_model, tmp_path / "words", "words")
