"""What a model has learnt of transparent images helps with others, of another size, other channels and classes."""

import pytest

from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.denoising import denoising_errors, known_levels
from fromnoise.generation.model import Model
from fromnoise.training.initial import initial


@pytest.fixture
def images(blobs_of):
    return blobs_of(channels=4, size=8)


def test_the_first_step_denoises_other_images_better_than_a_fresh_networks(train, config_of, blobs_of):
    folder, _ = train(config_of(training={"steps": 120}))
    for channels in (1, 3, 4):
        others, config = blobs_of(channels=channels, classes=2, size=12, seed=1), config_of(data={"size": "12"})
        model = Model.build(config, DataInfo.of(others, config))

        def error(model=model, images=others.images):
            return denoising_errors(model, images, known_levels(model, (-2.0, 0.0, 2.0))).mean()

        fresh = error()
        model.network.load_state_dict(initial(model, folder.model_file(), "run").weights)
        assert error() < 0.8 * fresh, channels
