from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from fromnoise import tensors
from fromnoise.config import PRESETS
from fromnoise.diffusion.settings import DiffusionSettings
from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model, check
from fromnoise.networks.registry import network


def test_a_saved_model_comes_back_whole(tiny_model, tmp_path):
    path = tmp_path / "model.safetensors"
    tiny_model.save(path)
    back = Model.load(path)
    assert back.config == tiny_model.config
    assert back.info == tiny_model.info
    assert not back.network.training
    for name, tensor in tiny_model.network.state_dict().items():
        assert torch.equal(back.network.state_dict()[name], tensor)


def test_a_model_is_told_of_changes_where_it_learns_from_changed_images(config_of, images, tmp_path):
    config, without = (config_of(training={"augment": share}) for share in (0.3, 0.0))
    model, plain = (Model.build(setting, DataInfo.of(images, setting)) for setting in (config, without))
    model.save(tmp_path / "model.safetensors")
    names = set(Model.load(tmp_path / "model.safetensors").network.state_dict())
    assert names - set(plain.network.state_dict()) == {"embedding.change.weight"}


def test_other_files_are_refused(tmp_path):
    foreign, garbage = tmp_path / "foreign.safetensors", tmp_path / "garbage.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    garbage.write_bytes(b"\x80\x04pickle?")
    tensors.save(tmp_path / "state.safetensors", {"a": torch.zeros(1)}, {"step": 1})
    with pytest.raises(UserError, match="no checksum"):
        Model.load(foreign)
    with pytest.raises(UserError, match="not a complete safetensors file"):
        Model.load(garbage)
    with pytest.raises(UserError, match="cannot be read"):
        Model.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(UserError, match="not a model of this version"):
        Model.load(tmp_path / "state.safetensors")


def test_fresh_weights_are_the_seeds_and_leave_the_global_stream_alone(config_of, images):
    info = DataInfo.of(images, config_of())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = Model.build(config_of(), info).network.state_dict()
    assert torch.equal(torch.rand(3), expected)
    again = Model.build(config_of(), info).network.state_dict()
    other = Model.build(config_of(seed=1), info).network.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("size", "nearest"), [("30", "32"), ("33", "32"), ("4", "8"), ("30x50", "32x48")])
def test_a_size_that_the_levels_do_not_divide_is_refused_with_the_nearest(config_of, size, nearest):
    config = config_of(data={"size": size}, network={"channels": (16, 32, 32)})
    with pytest.raises(UserError, match=f"multiples of 8; the nearest is --size {nearest}$"):
        check(config)


def test_the_chapters_network_needs_multiples_of_32():
    config = PRESETS["chapter"]
    check(config)
    assert network(config.network).multiple(config.network) == 32


def test_settings_that_do_not_go_together_are_refused(config_of, images):
    for deviation in (0.0, -1.0):
        config = config_of(diffusion={"lognormal": (-1.0, deviation)})
        with pytest.raises(UserError, match="deviation must be above 0"):
            Model.build(config, DataInfo.of(images, config))
    config = replace(PRESETS["chapter"], diffusion=DiffusionSettings())
    with pytest.raises(UserError, match="works only at its schedule's steps"):
        check(config)


def test_weights_are_the_seeds_in_several_threads_at_once(config_of, images):
    config = config_of()
    info = DataInfo.of(images, config)

    def first(k):
        return next(Model.build(replace(config, seed=k % 4), info).network.parameters()).detach()

    alone = [first(k) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(found, alone[k % 4]) for k, found in enumerate(pool.map(first, range(24))))


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tiny_model, tmp_path, nonsense):
    weights = tiny_model.network.state_dict()
    name = next(iter(weights))
    weights[name] = torch.full_like(weights[name], nonsense)
    tiny_model.save(tmp_path / "model.safetensors", weights)
    with pytest.raises(UserError, match=f"not all numbers of {name} are finite"):
        Model.load(tmp_path / "model.safetensors")


def test_weights_of_8_bits_are_refused(tiny_model, tmp_path):
    weights = tiny_model.network.state_dict()
    name = next(iter(weights))
    weights[name] = weights[name].to(torch.float8_e4m3fn)
    tiny_model.save(tmp_path / "model.safetensors", weights)
    with pytest.raises(UserError, match=f"needs {name} to be .* numbers, and in the file it is .*float8_e4m3fn$"):
        Model.load(tmp_path / "model.safetensors")


def test_a_network_of_too_many_levels_is_refused(config_of):
    with pytest.raises(UserError, match=r"--channels names 200,000 levels: name at most 16$"):
        check(config_of(network={"channels": (8,) * 200_000}))
