"""The operators run in any PyTorch project, and so do their tests: in place of the fixtures that
clear Detectron2's catalogs, which would import it."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def datasets_of_a_file() -> None:
    pass


@pytest.fixture(autouse=True)
def datasets_of_a_test() -> None:
    pass
