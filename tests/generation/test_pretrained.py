import pytest
import torch

from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import FILES, packaged
from fromnoise.generation.sampling import SampleRequest, sample


def test_the_packaged_model_is_small_and_of_all_ten_digits():
    file = packaged("digits")
    assert file.stat().st_size <= 8_000_000
    model = Model.load(file)
    assert model.info.image == (1, 32, 32)
    assert model.info.classes == 10
    assert all(value.dtype == torch.float32 for value in model.network.state_dict().values())


def test_another_name_is_no_packaged_model():
    assert packaged("cats") is None
    assert list(FILES) == ["digits"]


@pytest.mark.slow
def test_its_digits_are_read_as_the_classes_they_were_asked_for():
    from fromnoise.data.pixels import normalise
    from fromnoise.evaluation import digit_network

    model, network = Model.load(packaged("digits")), digit_network.packaged()
    right = 0
    for label in range(10):
        with torch.inference_mode():
            read = network(normalise(sample(model, SampleRequest(20, seed=1, label=label)))).argmax(1)
        right += int((read == label).sum())
    assert right >= 180
