"""A key-value cache that takes its room once, because the length that a text can reach is known."""

from typing import Any

from torch import Tensor, index_select
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """transformers' growing layer, writing into room for ``room`` tokens instead of copying all it has at each token.

    Attention sees tensors of the same shapes and values as with DynamicLayer, hence the same numbers: only the tokens
    written so far, not the whole room as with a static cache. Grows by copying should the room not do.
    """

    keys: Any
    values: Any

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self.key_room: Tensor | None = None
        self.value_room: Tensor | None = None
        self.spare: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """float[rows, heads, new tokens, width] each → the same with all tokens so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.key_room = self.appended(self.keys, self.key_room, key_states)
        self.values, self.value_room = self.appended(self.values, self.value_room, value_states)
        return self.keys, self.values

    def appended(self, states: Tensor, room: Tensor | None, new: Tensor) -> tuple[Tensor, Tensor]:
        """(states followed by new ones, the room they stand in); states that stand elsewhere are brought there."""
        start = states.shape[-2] if states.numel() else 0
        end = start + new.shape[-2]
        if room is None or room.shape[0] != new.shape[0] or room.shape[-2] < end:
            room = new.new_empty(*new.shape[:2], max(self.room, end), new.shape[-1])
        if start and states.data_ptr() != room.data_ptr():  # its rows have been repeated or chosen
            room[:, :, :start] = states
        room[:, :, start:end] = new
        return room[:, :, :end], room

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i becomes what row ``beam_idx[i]`` was, as beam search needs it; between two rooms, taken once."""
        if self.key_room is None or self.value_room is None or self.get_seq_length() == 0:
            return
        keys, values = self.spare or (self.key_room[:0], self.value_room[:0])
        self.spare = self.key_room, self.value_room
        self.keys, self.key_room = self.reordered(self.keys, beam_idx, keys)
        self.values, self.value_room = self.reordered(self.values, beam_idx, values)

    def reordered(self, states: Tensor, rows: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """(``states[rows]``, the room they stand in)"""
        _, heads, tokens, width = states.shape
        if len(room) != len(rows) or room.shape[-2] < tokens:
            room = states.new_empty(len(rows), heads, max(self.room, tokens), width)
        return index_select(states, 0, rows.to(states.device), out=room[:, :, :tokens]), room


def roomy_cache(config: Any, room: int) -> DynamicCache:
    """What ``generate`` takes as ``past_key_values``; layers with a sliding window stay transformers' own.

    room: tokens of context and text together, beyond which it grows by copying.
    """
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
