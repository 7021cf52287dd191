"""Batches on their way to the device: counted on the host, copied while the step before computes.

Heavy: torch is imported inside.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from core.batches import IGNORED_LABEL, without_needless_mask
from core.ready_mask import with_ready_mask

if TYPE_CHECKING:
    import torch

Batch = dict[str, Any]


class Feeder:
    """Keeps the batches of the next step ready on `device`.

    On a GPU they are copied from pinned memory on a stream of their own, so that copying and computing overlap;
    the stream that computes waits for a batch only when it takes it. `seen` counts what was taken: `reviews`,
    `tokens`, and `padded`, which is `tokens` with the padding. `waited` is the seconds spent waiting for the loader.
    A batch without padding comes without a mask, but for `always_masked`; with `ready_masks` the others have them as
    `with_ready_mask` makes them.
    """

    def __init__(self, device: torch.device, *, always_masked: bool = False, ready_masks: bool = False) -> None:
        import torch

        self.device = device
        self._always_masked = always_masked
        self._ready_masks = ready_masks
        self.seen = {"reviews": 0, "tokens": 0, "padded": 0}
        self.waited = 0.0
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._iterator: Iterator[Batch] | None = None
        self._ready: deque[tuple[Batch, dict[str, int], Any]] = deque()

    def take(self, iterator: Iterator[Batch], count: int) -> list[Batch]:
        """The next `count` batches of `iterator` on the device, fewer at its end; the ones after them get under way."""
        if iterator is not self._iterator:
            # Another epoch, or another place in it: what was fetched ahead belongs to the one before.
            self._iterator = iterator
            self._ready.clear()
        self._fetch(count)
        batches = [self._arrived(*self._ready.popleft()) for _ in range(min(count, len(self._ready)))]
        if self._stream is not None:
            self._fetch(count)
        return batches

    def _fetch(self, count: int) -> None:
        assert self._iterator is not None
        while len(self._ready) < count:
            begun = time.perf_counter()
            batch = next(self._iterator, None)
            self.waited += time.perf_counter() - begun
            if batch is None:
                return
            self._ready.append(self._send(batch))

    def _send(self, batch: Batch) -> tuple[Batch, dict[str, int], Any]:
        import torch

        real = batch["labels"].ne(IGNORED_LABEL)
        mask = batch["attention_mask"]
        counts = {"reviews": int(real.sum()), "tokens": int(mask[real].sum()), "padded": mask.numel()}
        chosen = batch if self._always_masked else without_needless_mask(batch)
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            sent = {name: tensor.to(self.device, non_blocking=True) for name, tensor in chosen.items()}
            sent = with_ready_mask(sent) if self._ready_masks else sent
        event = self._stream.record_event() if self._stream is not None else None
        return sent, counts, event

    def _arrived(self, batch: Batch, counts: dict[str, int], event: Any) -> Batch:
        for name, value in counts.items():
            self.seen[name] += value
        if event is not None:
            import torch

            current = torch.cuda.current_stream(self.device)
            current.wait_event(event)
            for tensor in batch.values():
                # Its memory belongs to the copying stream and must not be given to the next batch while in use.
                tensor.record_stream(current)
        return batch
