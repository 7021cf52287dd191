"""Which of torch's attention kernels a process takes that computes batches of many shapes. Heavy: torch inside."""

from __future__ import annotations


def for_many_shapes() -> None:
    """Leave cuDNN's attention out in this process.

    From 2.11 on torch asks it first on Hopper and Blackwell. It makes a plan for every new shape, tens of
    milliseconds each time, and batches padded to their own longest review come in a hundred shapes and more, each
    forward and backward, with a mask and without. The flash and the memory-efficient kernel need no plans, and at the
    length of reviews attention is a small part of a step.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)
