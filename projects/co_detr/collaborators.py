"""The heads of a config, each with the way of its positives into the decoder."""

from torch import nn

from hdetr_d2.projects.co_detr.heads import CollaborativeHead
from hdetr_d2.schemes.base import check_name


class Collaborator(nn.Module):
    """A dense head, and how its positive candidates become queries.

    Args:
        head: on the pyramid.
        queries: `BoxQueries` or `FeatureQueries`.
    """

    def __init__(self, *, head: CollaborativeHead, queries: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.queries = queries


class Collaborators(nn.ModuleDict):
    """Collaborators by name, in their order; None stands for none, as a config can say that one is
    not wanted. A config builds the arguments of a node, but not what a mapping holds.

    Raises:
        ValueError: none, or a name that no group can have.
    """

    def __init__(self, **collaborators: Collaborator | None) -> None:
        wanted = {name: each for name, each in collaborators.items() if each is not None}
        if not wanted:
            raise ValueError("CollaborativeHeads needs at least one collaborator.")
        for name in wanted:
            check_name(name)
        super().__init__(wanted)
