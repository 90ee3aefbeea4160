"""What a step is said to cost."""

import torch
from train_step_costs import _Count


def test_views_cost_nothing_and_others_what_they_read_and_write() -> None:
    x = torch.ones(2, 3)
    with _Count() as count:
        rows = x.view(3, 2).transpose(0, 1).expand(4, 2, 3)[1:]
        assert (count.number, count.bytes) == (0, 0)
        (rows.sum(0) + 1).unbind()
    assert count.number == 2
    assert count.bytes == 3 * 24 + 24 + 24 + 24  # the sum reads rows that lie in x three times
    with _Count() as count:
        x.add_(1)
    assert (count.number, count.bytes) == (1, 2 * 24)
    with _Count() as count:
        torch.cat([x, x])
    assert (count.number, count.bytes) == (1, 4 * 24)
