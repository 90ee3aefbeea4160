import torch
from torch import nn

from hdetr_d2.modeling.backbone.copies import copy_with


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(2)
        self.second = self.first
        self.tied = nn.Linear(2, 2)
        self.tied.bias = self.first.bias
        self.tied.weight.requires_grad_(False)


def test_what_is_shared_stays_shared_and_the_module_stays_as_it_is():
    module = Shared()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    copy = copy_with(module, lambda tensor: tensor.detach() + 1)
    assert copy.first is copy.second is not module.first
    assert copy.tied.bias is copy.first.bias
    assert not copy.tied.weight.requires_grad and copy.first.weight.requires_grad
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])
        assert torch.equal(copy.state_dict()[key], before[key] + 1)
    assert [name for name, _ in copy.named_parameters()] == [
        name for name, _ in module.named_parameters()
    ]


def test_the_tensors_themselves_can_be_shared():
    module = Shared()
    copy = copy_with(module, lambda tensor: tensor)
    assert copy.first is not module.first
    for own, other in zip(copy.parameters(), module.parameters(), strict=True):
        assert own is other
    assert copy.first.running_mean is module.first.running_mean


def test_the_meta_device_takes_no_memory_of_the_module():
    module = Shared()
    copy = copy_with(module, lambda tensor: tensor.detach().to("meta"))
    assert all(tensor.is_meta for tensor in copy.state_dict().values())
    assert not any(tensor.is_meta for tensor in module.state_dict().values())
