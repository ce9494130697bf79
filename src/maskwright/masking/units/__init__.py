"""Units: which positions are masked together, and when they arrive in the race."""

from maskwright.masking.units.base import Unit
from maskwright.masking.units.combined import Mixed, Stages
from maskwright.masking.units.segments import Segments
from maskwright.masking.units.single import Block, Marked, OneOf, Token, Word
from maskwright.masking.units.span import Span

__all__ = ["Block", "Marked", "Mixed", "OneOf", "Segments", "Span", "Stages", "Token", "Unit", "Word"]
