"""Draws docs/augmentations.png: every augmentation on a photo and on an 8x8 digit, with its default options and p = 1.

uv run python plugins/fulmen-albumentations/docs/draw.py
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits, load_sample_image

from fulmen.augment import ImagePipeline

SIDE, GAP, COLUMNS, HEAD = 112, 6, 4, 20
GROUPS = [
    "flip rotate translate scale shear crop resized_crop",
    "color_jitter blur noise cutout grid_distortion elastic",
    "rand_augment trivial_augment light medium strong",
]
ROW = 11  # which draw is shown


def shown(name: str, image: NDArray[np.uint8]) -> Image.Image:
    """One augmented image, enlarged to SIDE without smoothing."""
    specs = [] if name == "original" else [{"name": name, "p": 1.0}]
    height, width, channels = image.shape
    (out,) = ImagePipeline(specs, (channels, height, width))([image], torch.tensor([ROW]))
    pixels = np.broadcast_to(out.permute(1, 2, 0).numpy(), (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def main() -> None:
    """Writes the sheet."""
    flower = Image.fromarray(load_sample_image("flower.jpg")).crop((170, 40, 550, 420)).resize((SIDE, SIDE))
    digit = np.ascontiguousarray(load_digits().images[2, ..., None] / 16 * 255).astype(np.uint8)
    names = ["original", *" ".join(GROUPS).split()]
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (2 * SIDE + 3 * GAP), rows * (SIDE + HEAD + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for place, name in enumerate(names):
        x = place % COLUMNS * (2 * SIDE + 3 * GAP) + GAP
        y = place // COLUMNS * (SIDE + HEAD + GAP)
        draw.text((x, y + 2), name, "black", font)
        sheet.paste(shown(name, np.asarray(flower)), (x, y + HEAD))
        sheet.paste(shown(name, digit), (x + SIDE + GAP, y + HEAD))
    sheet.quantize(256).save(Path(__file__).with_name("augmentations.png"), optimize=True)


if __name__ == "__main__":
    main()
