"""How a step that was made again is compared with the step of the run."""

from leyden.incidents.replays import MadeStep, same_bits


def test_losses_are_compared_in_every_bit() -> None:
    assert same_bits(float("nan"), float("nan"))
    assert not same_bits(0.1, 0.1000000000000001)
    assert MadeStep(1, 0, 0, 0.5).is_equal is None
    assert MadeStep(1, 0, 0, 0.5, recorded=0.25).is_equal is False
