#!/bin/bash
# torchdata 0.11.0 (with torch 2.14.1), StatefulDataLoader: after load_state_dict in the middle of an epoch, the samples that are
# left are the right ones, but the random numbers that the dataset draws for them are those of the START of the epoch. The seed of
# the workers is part of the state, the position of their generators is not. A new seed of the resumed run does not help with
# workers; without workers it decides, and the same seed repeats as well.
#
# Expected: a run that was stopped and resumed goes on as if nothing had happened, or draws new numbers; it does not repeat.
# What is hit: augmentation. A run that is stopped often (spot machines, short jobs) sees its flips, crops and scales of the first
# minutes again after each stop, and two runs of one seed, one of them stopped, differ.
#
# Output seen (40 samples in batches of 4, stopped after 16 of them; of the 24 left):
#   0 workers, same seed: right samples 24, same random numbers 0, numbers already drawn in this epoch 16
#   0 workers, new seed: right samples 24, same random numbers 0, numbers already drawn in this epoch 0
#   2 workers, same seed: right samples 24, same random numbers 0, numbers already drawn in this epoch 16
#   2 workers, new seed: right samples 24, same random numbers 0, numbers already drawn in this epoch 16
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 torchdata==0.11.0 numpy==2.4.6
cd "$folder"
cat > resume.py <<'PY'
import sys
import warnings

import torch
from torchdata.stateful_dataloader import StatefulDataLoader

warnings.simplefilter("ignore")


class Augmented(torch.utils.data.Dataset):
    """The sample's index, and one random number as an augmentation would draw it."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.tensor([index, torch.rand(()).item()], dtype=torch.float64)


def make_loader(workers, seed=0):
    torch.manual_seed(seed)
    return StatefulDataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=workers)


def main():
    seen = []
    for workers in (0, 2):
        whole = torch.cat(list(make_loader(workers)))
        stopped = make_loader(workers)
        batches = iter(stopped)
        for _ in range(4):
            next(batches)
        state = stopped.state_dict()
        for seed, name in ((0, "same"), (123, "new")):
            resumed = make_loader(workers, seed)
            resumed.load_state_dict(state)
            rest = torch.cat(list(resumed))
            right, same = (rest == whole[16:]).sum(0).tolist()
            again = torch.isin(rest[:, 1], whole[:16, 1]).sum().item()
            print(
                f"{workers} workers, {name} seed: right samples {right}, same random numbers {same}, "
                f"numbers already drawn in this epoch {again}"
            )
            seen.append((right, same, again))
    return 0 if seen == [(24, 0, 16), (24, 0, 0), (24, 0, 16), (24, 0, 16)] else 1


if __name__ == "__main__":
    sys.exit(main())
PY
venv/bin/python resume.py
