"""The operators run in any PyTorch project, and so do their tests: in place of the fixtures that
clear Detectron2's catalogs, which would import it."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def datasets_of_a_file() -> None:
    pass


@pytest.fixture(autouse=True)
def datasets_of_a_test() -> None:
    pass


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No operator has any, and none has told so yet."""
    names = [name for name in sys.modules if name.startswith("hdetr_d2.ops.")]
    operators = [sys.modules[name] for name in names if not name.endswith(".extension")]
    answers = [each for module in operators for each in vars(module).values()]
    caches = [each for each in answers if hasattr(each, "cache_clear")]
    for module in operators:
        if hasattr(module, "why_no_kernel"):
            monkeypatch.setattr(module, "why_no_kernel", lambda op, device: "They are not built.")
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()
