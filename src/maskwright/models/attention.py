"""Who sees whom: the one attention-mask builder for all families.

A mask is boolean (True: the query may see the key) and broadcasts to [B, 1, L, L]. None means that no mask is needed,
which lets scaled_dot_product_attention take its fastest path.
"""

from __future__ import annotations

import torch
from torch import Tensor


def restarted(document_BL: Tensor) -> Tensor:
    """Positions int64 [B, L] that count from 0 anew in every document of a row.

    `document_BL` holds document numbers; a document is a run of equal numbers (0 is padding).
    """
    place_L = torch.arange(document_BL.shape[1], device=document_BL.device)
    begins_BL = torch.ones_like(document_BL, dtype=torch.bool)
    begins_BL[:, 1:] = document_BL[:, 1:] != document_BL[:, :-1]
    return place_L - torch.where(begins_BL, place_L, 0).cummax(1).values


def visible(
    length: int,
    device: torch.device,
    *,
    valid_BL: Tensor | None = None,
    document_BL: Tensor | None = None,
    allowed_BLL: Tensor | None = None,
    causal: bool = False,
    window: int | None = None,
) -> Tensor | None:
    """The boolean mask that joins every restriction given, or None when nothing is restricted.

    `valid_BL` hides padding keys. `document_BL` lets a token see its own document only (padding then sees padding).
    `allowed_BLL` is any further restriction, query by key. `causal` hides later keys. `window` hides keys further away
    than that many tokens. Every token may see itself under the last four, so that no softmax is empty.
    """
    place_L = torch.arange(length, device=device)
    parts: list[Tensor] = []
    if document_BL is not None:
        parts.append((document_BL[:, :, None] == document_BL[:, None, :])[:, None])
    elif valid_BL is not None:
        parts.append(valid_BL[:, None, None, :])
    if allowed_BLL is not None:
        parts.append(allowed_BLL[:, None])
    if causal:
        parts.append((place_L[:, None] >= place_L)[None, None])
    if window is not None and window < length - 1:
        parts.append(((place_L[:, None] - place_L).abs() <= window)[None, None])
    if not parts:
        return None
    mask = parts[0]
    for part in parts[1:]:
        mask = mask & part
    if mask.shape[-2] == length:
        mask = mask | torch.eye(length, dtype=torch.bool, device=device)
    return mask


def additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The mask as numbers to add to the scores (0 or the lowest finite number): what eager attention needs.

    Eager attention adds a boolean mask as 0 and 1, silently; scaled_dot_product_attention takes both kinds.
    """
    if mask is None:
        return None
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
