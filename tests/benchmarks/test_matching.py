"""Both sides of the matching make the same pairs."""

from argparse import Namespace

from matching import CAPACITIES, in_one_call, layer_by_layer
from prediction_cases import GROUPS, draw_case

OPTIONS = Namespace(smoke=True, dtype="float32", device="cpu")


def test_the_official_matching_finds_what_ours_finds() -> None:
    steps = [draw_case(name, 2, OPTIONS) for name in GROUPS]
    found = [problem for group in in_one_call(steps)() for problem in group]
    capacities = [
        capacity
        for step, capacity in zip(steps, CAPACITIES, strict=True)
        for _ in range(2 * len(step.logits))
    ]
    official = [image for layer in layer_by_layer(steps)() for image in layer]
    assert len(found) == len(official) == 6
    for ours, (queries, columns), capacity in zip(found, official, capacities, strict=True):
        pairs = {(query, target) for query, target in enumerate(ours.tolist()) if target >= 0}
        assert len(pairs) == 2 * min(capacity, len(ours) // 2)
        assert pairs == set(zip(queries.tolist(), (columns % 2).tolist(), strict=True))
