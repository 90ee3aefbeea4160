"""The tables of a benchmark and the page of results."""

from pathlib import Path

import pytest
from report import add_section, cpu_name, milliseconds, versus
from timing import Times


def test_peers_beside_ours() -> None:
    times = {"ours": Times(0.002, 0.004), "theirs": Times(0.05, 0.06)}
    rows = list(versus(times, "ours", lambda name: f"{name} at least 20"))
    assert rows == [
        ["theirs", "2.000", "50.00", "25.00", "theirs at least 20", "4.000", "60.00", "15.00"]
    ]


def test_four_digits() -> None:
    assert [milliseconds(s) for s in (1.2345678, 0.0451, 0.000123456)] == [
        "1235",
        "45.10",
        "0.1235",
    ]


def test_the_newest_run_comes_first_in_its_section(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\nHow.\n\n## one\n\n## two\n", encoding="utf-8")
    for benchmark, title in (("one", "a"), ("two", "b"), ("one", "c"), ("three", "d")):
        add_section(page, benchmark, title, f"of {title}")
    assert page.read_text(encoding="utf-8") == (
        "# Results\n\nHow.\n"
        "\n## one\n\n### c\n\nof c\n\n### a\n\nof a\n"
        "\n## two\n\n### b\n\nof b\n"
        "\n## three\n\n### d\n\nof d\n"
    )


def test_a_machine_without_cpuinfo_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object, **kwargs: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert cpu_name()
