"""Example segmentations as one picture: image, truth and prediction side by side, a sample a row."""

from pathlib import Path

import numpy as np
from PIL import Image


def draw_examples(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, palette, path: Path) -> None:
    """images: uint8 (N, H, W, 3); labels and predicted: class indices (N, H, W), labels 255 void, drawn black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    panels = [images, colours[labels], colours[predicted]]
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in zip(*panels)])).save(path)
