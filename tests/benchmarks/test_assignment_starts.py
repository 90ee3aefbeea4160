import hdetr_d2  # noqa: F401

import torch
from assignment_starts import that_share


def test_targets_whose_cheapest_queries_another_one_wants() -> None:
    cost = torch.tensor([[1.0, 2, 9, 9], [9, 1, 2, 9], [9, 9, 9, 0]])
    assert that_share(cost, 1) == 0
    assert that_share(cost, 2) == 2 + 1  # the last one takes the first of its equal costs
    assert that_share(cost, 4) == 3
