import dataclasses

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.training.device import accelerator
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Trainer


def test_other_clusters_than_a_training_began_with_are_refused(config_of, tmp_path, images):
    config = config_of(training={"steps": 4})

    def model_of(labels):
        told = dataclasses.replace(images, labels=labels, clustered=True)
        return Model.build(config, DataInfo.of(told, config)), told

    one, other = torch.arange(64) // 16, torch.arange(64) // 20
    folder = RunFolder(tmp_path / "run")
    for finished in (False, True):
        with folder.open(config, images):
            assert Trainer(*model_of(one), folder, accelerator("cpu")).run().already_finished is finished
    with folder.open(config, images), pytest.raises(UserError, match="finds different clusters here"):
        Trainer(*model_of(other), folder, accelerator("cpu")).run()
