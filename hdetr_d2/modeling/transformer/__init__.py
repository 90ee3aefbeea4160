"""Encoders, decoders and query selections."""

from .deformable_decoder import DeformableDecoder
from .deformable_encoder import DeformableEncoder
from .query_selection import LearnedQueries, QuerySelection, Selection, TwoStageQueries

__all__ = ["DeformableDecoder", "DeformableEncoder", "LearnedQueries", "QuerySelection", "Selection", "TwoStageQueries"]
