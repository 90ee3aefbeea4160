import pytest
from many_gpus import Counted, modelled, parse

# 10 and 8 MiB of weights and learned ones; 3 TFLOP of an image.
MIB = 2**20
SMALL = Counted("small", 10 * MIB, 8 * MIB, 2 * MIB, 10**12, 3 * 10**12)


@pytest.mark.parametrize(
    ("way", "sent", "state"),
    # Of 4 processes: 2 x 8 x 3/4, and (2 x 10 + 8) x 3/4; 2 x 10 + 3 x 8, and a fourth, and 2.
    [("ddp", 12, 44), ("fsdp2", 21, 13)],
)
def test_bytes(way: str, sent: float, state: float) -> None:
    assert SMALL.sent(way, 4) == sent * MIB
    assert SMALL.state(way, 4) == state * MIB


def test_a_step_is_between_two_bounds() -> None:
    options = parse(["--gpus", "4", "16", "--rate", "60", "--inside", "1", "--between", "0.1"])
    rows = [row for row in modelled(SMALL, options) if row[2] == "ddp"]
    # 2 images of 3 TFLOP take 100 ms; 12 MiB at 1 GB/s 12.6 ms, 15 MiB at 0.1 GB/s 157.3 ms.
    assert rows[0] == ["small", "4", "ddp", "12", "12.6", "100 to 113", "71 to 80",
                       "0.89 to 1.00", "44"]  # fmt: skip
    assert rows[1] == ["small", "16", "ddp", "15", "157.3", "157 to 257", "124 to 203",
                       "0.39 to 0.64", "44"]  # fmt: skip
