import math

import pytest
import torch

from hdetr_d2.layers import inverse_sigmoid


def test_inverse_sigmoid():
    x = torch.tensor([0.5, 0.9, 0.1])
    assert inverse_sigmoid(x).tolist() == pytest.approx([0.0, math.log(9), -math.log(9)], rel=1e-5)
    # 0 and 1, and what lies beyond them, stand at odds of eps.
    edge = inverse_sigmoid(torch.tensor([0.0, -3.0, 1.0, 7.0]), eps=1e-3)
    assert edge.tolist() == pytest.approx([-math.log(1e3)] * 2 + [math.log(1e3)] * 2, rel=1e-4)


def test_inverse_sigmoid_gradients():
    x = (0.05 + 0.9 * torch.rand(6, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(inverse_sigmoid, x)
    torch.testing.assert_close(inverse_sigmoid(x).sigmoid(), x)
