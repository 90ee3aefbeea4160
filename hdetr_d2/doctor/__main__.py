"""Prints the report. It runs whatever is missing; the exit status is 1 if something is built but
does not work.
"""

import sys
from collections.abc import Iterator

from hdetr_d2.doctor.libraries import is_useless, state
from hdetr_d2.doctor.self_test import Check, check_device, devices_with_kernels
from hdetr_d2.doctor.versions import versions
from hdetr_d2.ops import extension


def checks() -> Iterator[Check]:
    for library in (extension.CPU, extension.CUDA):
        if library.error is not None and not is_useless(library):
            yield Check(f"loading {library.name}", False, extension.whole(library.error))
    for device in devices_with_kernels():
        yield from check_device(device)


def main() -> int:
    """Prints the report; returns the exit status."""
    facts = [*versions(), ("CPU kernels", state(extension.CPU))]
    facts.append(("CUDA kernels", state(extension.CUDA)))
    for name, fact in facts:
        print(f"{name:13} {fact}")
    done = []
    for check in checks():
        print(check, flush=True)
        done.append(check)
    if not done:
        print("No kernels can be tested here: the operators run in PyTorch's own operations.")
    return 0 if all(check.passed for check in done) else 1


if __name__ == "__main__":
    sys.exit(main())
