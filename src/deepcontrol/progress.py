"""What a run shows of itself: one bar on a terminal, plain lines elsewhere."""

import sys

from tqdm import tqdm


class Progress:
    """One bar a cell, with loss, error, images/s and time left; a line an epoch where stderr is not a terminal."""

    def __init__(self, name: str, first_epoch: int, epochs: int, steps: int, minibatch: int, shown: bool):
        self.name, self.epochs, self.minibatch, self.shown = name, epochs, minibatch, shown
        done = max(0, first_epoch - 1) * steps * minibatch
        self.bar = tqdm(
            total=epochs * steps * minibatch, initial=done, desc=name, unit="image", dynamic_ncols=True,
            disable=not (shown and sys.stderr.isatty()),
        )  # fmt: skip
        self.facts: dict[str, str] = {}

    def step(self, steps: int, loss: float) -> None:
        self.facts["loss"] = f"{loss:.3f}"
        self.bar.set_postfix(self.facts, refresh=False)
        self.bar.update(steps * self.minibatch)

    def epoch(self, epoch: int, measures: dict[str, float], images_per_s: float) -> None:
        self.facts["error"] = f"{measures['error']:.2%}"
        self.bar.set_postfix(self.facts)
        if self.shown and self.bar.disable:
            print(
                f"{self.name}: epoch {epoch}/{self.epochs}, validation loss {measures['loss']:.4f}, "
                f"error {measures['error']:.2%}, mIoU {measures['miou']:.2%}, {images_per_s:.1f} images/s",
                flush=True,
            )

    def close(self, verdict: str) -> None:
        self.bar.close()
        if self.shown:
            print(f"{self.name}: {verdict}", flush=True)
