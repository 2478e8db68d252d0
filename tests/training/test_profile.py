from fromnoise.training.device import accelerator
from fromnoise.training.profile import OPERATORS, profile
from fromnoise.training.step import PHASES


def test_a_step_is_told_by_phases_operators_and_speed(tiny_model, images, bars):
    told = profile(tiny_model, images, accelerator("cpu"))
    assert [phase.name for phase in told.phases] == list(PHASES)
    assert all(phase.calls == 1 for phase in told.phases)
    assert 0.8 < sum(phase.share for phase in told.phases) < 1.05
    shares = [operator.share for operator in told.operators]
    assert len(shares) == OPERATORS
    assert shares == sorted(shares, reverse=True)
    assert any("convolution" in operator.name for operator in told.operators)
    assert told.batch == 16
    assert told.seconds > 0
    assert told.flops > 6 * told.batch * sum(weight.numel() for weight in tiny_model.network.parameters())
    assert told.reachable > 1e8
    assert bars[-1][1] == bars[-1][2]
