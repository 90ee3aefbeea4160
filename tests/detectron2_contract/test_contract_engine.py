"""The options of a training script."""

import hdetr_d2  # noqa: F401

from detectron2.engine import default_argument_parser


def test_arguments() -> None:
    parser = default_argument_parser()
    args = parser.parse_args(["--config-file", "c.py", "--resume", "--num-gpus", "2", "a.b=1", "c"])
    assert (args.config_file, args.resume, args.num_gpus) == ("c.py", True, 2)
    assert args.opts == ["a.b=1", "c"]
    default = parser.parse_args([])
    assert (default.config_file, default.resume, default.eval_only) == ("", False, False)
    assert (default.num_gpus, default.num_machines, default.machine_rank) == (1, 1, 0)
    assert default.dist_url.startswith("tcp://127.0.0.1:")
    assert default.opts == []
    assert "my own words" in default_argument_parser(epilog="my own words").format_help()
