"""A synthetic tree of still images: each class has a shape and a color, so classes differ, but not trivially."""

from pathlib import Path

import cv2
import numpy as np

from data_prep.tree.layout import frame_file_name, slug


def make_images(
    root: Path, *, sources=("birds", "signs"), classes=7, count=18, split="", size_px=32, seed=0, same_classes=True
) -> None:
    """Write ROOT/[split/]SOURCE/CLASS/clean/VIDEO/VIDEO-00001.jpg, one video per image."""
    for source in sources:
        for place in range(classes):
            colors = np.random.default_rng([seed, len(source), place])
            name = f"class {place}" if same_classes else f"class {place} {split}"
            middle = colors.integers(40, 215, 3)
            for number in range(count):
                rng = np.random.default_rng([seed, len(source), place, number, len(split)])
                picture = rng.integers(0, 120, (size_px, size_px, 3)).astype(np.uint8)
                corner = rng.integers(0, size_px // 2, 2)
                color = np.clip(middle + rng.integers(-60, 60, 3), 0, 255)
                picture[corner[0] : corner[0] + size_px // 2, corner[1] : corner[1] + size_px // 2] = color
                video = f"{source}--{slug(name)}--clean--stills-{split}{number:04d}"
                folder = root / split / source / name / "clean" / video
                folder.mkdir(parents=True)
                cv2.imwrite(str(folder / frame_file_name(video, 1)), picture)
