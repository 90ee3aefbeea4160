"""The collaborative heads of a config, and how their positives become queries."""

from torch import nn

from hdetr_d2.projects.co_detr.heads import CollaborativeHead
from hdetr_d2.schemes.base import check_name


class Collaborator(nn.Module):
    """A dense head, and the conversion of its positive candidates to queries.

    Args:
        head: on the pyramid.
        queries: `BoxQueries` or `FeatureQueries`.
    """

    def __init__(self, *, head: CollaborativeHead, queries: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.queries = queries


class Collaborators(nn.ModuleDict):
    """Collaborators by name, in order; None disables one in a config. A class, because a config
    instantiates the arguments of a node, but not the values of a mapping.

    Raises:
        ValueError: there are none, or a name that no group can have.
    """

    def __init__(self, **collaborators: Collaborator | None) -> None:
        wanted = {name: each for name, each in collaborators.items() if each is not None}
        if not wanted:
            raise ValueError("CollaborativeHeads needs at least one collaborator.")
        for name in wanted:
            check_name(name)
        super().__init__(wanted)
