"""Training schemes: what is added to the one-to-one training of the main queries. One file a scheme."""

from .base import Context, Contribution, Scheme
from .one_to_one import OneToOne

__all__ = ["Context", "Contribution", "OneToOne", "Scheme"]
