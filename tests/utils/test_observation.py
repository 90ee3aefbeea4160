"""What is observed reaches the innermost observer of its thread, as it was and on its device."""

import threading

import pytest
import torch

from hdetr_d2.utils.observation import Observer, observe, observe_mean


def test_without_an_observer_nothing_happens() -> None:
    observe("counts", torch.ones(2))
    observe_mean("share", torch.tensor(0.5))


def test_names_are_apart_and_one_name_is_summed() -> None:
    with Observer() as observer:
        observe("a", torch.tensor([1, 2]))
        observe("b", torch.tensor(5))
        observe("a", torch.tensor([10, 20]))
    observe("a", torch.tensor([100, 200]))
    assert {name: value.tolist() for name, value in observer.seen.items()} == {
        "a": [11, 22],
        "b": 5,
    }


def test_what_is_summed_is_not_written_to() -> None:
    first = torch.tensor([1])
    with Observer():
        observe("a", first)
        observe("a", torch.tensor([2]))
    assert first.tolist() == [1]


def test_the_innermost_one_hears_and_an_error_ends_it() -> None:
    with Observer() as outer:
        with pytest.raises(KeyError), Observer() as inner:
            observe("a", torch.tensor(1))
            raise KeyError
        observe("b", torch.tensor(2))
    assert (list(inner.seen), list(outer.seen)) == (["a"], ["b"])


def test_other_threads_are_not_heard() -> None:
    with Observer() as observer:
        other = threading.Thread(target=observe, args=("a", torch.tensor(1)))
        other.start()
        other.join()
    assert not observer.seen


def test_no_graph_is_kept() -> None:
    with Observer() as observer:
        observe("a", torch.ones(1, requires_grad=True) * 2)
        observe_mean("b", torch.ones((), requires_grad=True) * 2)
    assert not observer.seen["a"].requires_grad
    assert not observer.means["b"].requires_grad


def test_means_are_apart_from_sums() -> None:
    with Observer() as observer:
        observe_mean("a", torch.tensor(0.5))
        observe("a", torch.tensor(1))
    assert (observer.means["a"].item(), observer.seen["a"].item()) == (0.5, 1)
