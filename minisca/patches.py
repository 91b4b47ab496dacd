"""Patches of images: some, drawn at random, or all of them on a dense grid."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minisca.chunks import slices
from minisca.validation import (
    check_choice,
    check_images,
    check_integer,
    check_unmasked,
    make_generator,
    read_batch,
)

#: Images that are read at a time.
READ_BATCH = 256


def draw_patches(images, n_patches, width, random_state=None, dtype="float32"):
    """Up to n_patches different square patches of images (n, c, h, w): (p, c, width, width).

    Every place of every image is as likely as any other; patches lie wholly inside. Fewer come
    back where there are no more. Images may be any array that slices along its first axis; they are
    read some at a time. random_state: int, numpy.random.Generator or None. dtype: "float32"
    or "float64". In a random order.

    Raises ValueError or TypeError, naming the argument, for patches larger than the images, other
    counts below 1, and what `SparseConvAutoencoder.fit` refuses about images.
    """
    images = check_images(images, "images")
    n_patches = check_integer("n_patches", n_patches)
    width = check_patch_width("width", width, images.shape[2:])
    random = make_generator(random_state)
    check_choice("dtype", dtype, ("float32", "float64"))
    rows, columns = (side - width + 1 for side in images.shape[2:])
    n_places = images.shape[0] * rows * columns
    chosen = random.choice(n_places, min(n_patches, n_places), replace=False, shuffle=True)
    chosen_images, chosen_rows, chosen_columns = np.unravel_index(
        chosen, (images.shape[0], rows, columns)
    )
    patches = np.empty((len(chosen), images.shape[1], width, width), dtype)
    for part in slices(images.shape[0], READ_BATCH):
        here = np.flatnonzero((chosen_images >= part.start) & (chosen_images < part.stop))
        if len(here):
            batch = read_batch(images, part, dtype, "images")
            places = chosen_images[here] - part.start, chosen_rows[here], chosen_columns[here]
            patches[here] = dense_patches(batch, width)[places]
    return patches


def dense_patches(images, width, stride=1):
    """Every patch of images (n, c, h, w), a view: (n, rows, columns, c, width, width).

    Raises ValueError or TypeError, naming the argument, for what is no images or no integer, and
    for patches larger than the images.
    """
    images = check_images(images, "images")
    check_unmasked("images", images)
    width = check_patch_width("width", width, images.shape[2:])
    stride = check_integer("stride", stride)
    windows = sliding_window_view(images, (width, width), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)


def check_patch_width(name, width, size):
    """Return `width` as an int if patches of it fit into images of `size`, or raise."""
    width = check_integer(name, width)
    if width > min(size):
        pixels = f"images of {size[0]}x{size[1]} pixels"
        raise ValueError(f"{name} is {width}; for {pixels} it must be at most {min(size)}")
    return width
