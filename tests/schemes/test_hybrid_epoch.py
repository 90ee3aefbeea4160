"""The hybrid epoch: when it is one-to-many. tests/engine has the trainer's side."""

import pytest
import torch

from hdetr_d2.schemes import HybridEpoch
from hdetr_d2.structures import Step

NODE = {"_target_": "hdetr_d2.schemes.HybridEpoch", "repeats": 5, "until": 0.5}


@pytest.mark.parametrize(("done", "repeats"), [(0.0, 5), (0.4999, 5), (0.5, 1), (1.0, 1)])
@pytest.mark.parametrize("counts", [[2, 1], [3, 0], [0, 0]])
def test_matching_and_losses_follow_the_progress(
    tiny_model, make_batch, train_step, summed_distances, done, repeats, counts
):
    step = Step(torch.tensor(float(sum(counts))), progress=done)
    losses, groups = train_step(tiny_model(schemes=[NODE]), make_batch(counts), step)
    found = (groups[""].assignment >= 0).sum(-1)
    assert found.tolist() == [[min(repeats * count, 12) for count in counts]] * 3
    expected = 5 * summed_distances(groups[""])[-1] / max(1, repeats * sum(counts))
    assert losses["loss_bbox"].item() == pytest.approx(expected, rel=1e-5)
    assert (groups["enc"].assignment >= 0).sum(-1).tolist() == [counts]


@pytest.mark.parametrize("until", [-0.1, 8])
def test_a_part_that_is_none(until):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        HybridEpoch(repeats=2, until=until)
