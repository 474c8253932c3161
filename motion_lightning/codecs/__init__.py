"""Between what data hold (metric units) and what a process works on (normalised x), one file a representation.

A codec is an ``nn.Module`` whose statistics are buffers, so that they travel in the checkpoint::

    representation: str         # of the corpora that it encodes
    fps: float                  # frames a second of x
    shape: tuple[int, ...]      # of one frame of x
    sizes: dict[str, int]       # what a denoiser has to know, by the names of its arguments
    fit(store)                  # statistics of training clips
    encode(batch) -> x (B, T, *shape), mask (B, T)
    length(frames) -> int       # frames of a clip → frames of its x
    errors(squared (B, T, *shape), mask, batch) -> {name: (B,)}, weighted parts of the loss
"""
