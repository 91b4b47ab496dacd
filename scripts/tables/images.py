"""The images of a table: what is learned from, what is classified, and how they are prepared."""

import dataclasses
from typing import NamedTuple

import numpy as np

import minisca
from minisca.preprocessing import ZCA, contrast_normalise

#: What --quick leaves of the training and of the test images.
QUICK_IMAGES = (5000, 2000)

ZCA_EPSILON = 0.1


class Images(NamedTuple):
    """Training and test images, their labels, and what is written beside every figure.

    The images are (n, c, h, w). With two `views` a label, those of label i are images 2 i and
    2 i + 1. The labels after the first `n_fit` of the training set's are for validation.
    """

    name: str
    source: str
    train: np.ndarray
    train_labels: np.ndarray
    n_fit: int
    test: np.ndarray
    test_labels: np.ndarray
    shown: np.ndarray  # one for each test label, for pictures
    class_names: tuple | None = None
    views: int = 1


def as_images(data, class_names=None, n_validation=None):
    """The `Images` of a data set, or of one of pairs: every view an image of one channel."""
    arrays = (data.train_images, data.test_images)
    views = 1
    if isinstance(data, minisca.datasets.StereoDataset):
        arrays = (pairs.reshape(-1, 1, *pairs.shape[2:]) for pairs in arrays)
        views = 2
    train, test = arrays
    (_, fit_labels), _ = data.validation_split(n_validation)
    return Images(
        name=data.name,
        source=data.source,
        train=train,
        train_labels=data.train_labels,
        n_fit=len(fit_labels),
        test=test,
        test_labels=data.test_labels,
        shown=data.test_images[:, :1] if views == 2 else data.test_images,
        class_names=class_names,
        views=views,
    )


def prepare(images, preparation, directory, resume=False, backend="cpu"):
    """The images as a row learns from them.

    "raw": contrast-normalised. Brightness, which is never negative, would else take most of the
    loss: of 64 maps on 5,000 images in [0, 1] about one in ten stayed noise. "whitened": then
    ZCA-whitened by the training images' statistics, which are saved in `directory`. With `resume`,
    what was saved there for these images is used: measured again, on another number of threads, it
    would differ by rounding, and layers go on with the very same images only. All is computed by
    the backend; the images come back.
    """
    train, test = (contrast_normalise(x, backend=backend) for x in (images.train, images.test))
    if preparation == "whitened":
        whitener = saved_whitener(directory / "zca.npz", train) if resume else None
        if whitener is None:
            whitener = ZCA(epsilon=ZCA_EPSILON, backend=backend).fit(train)
            whitener.save(directory / "zca.npz")
        whitener.set_params(backend=backend)
        train, test = map(whitener.transform, (train, test))
    return images._replace(train=train, test=test)


def saved_whitener(path, train):
    """The ZCA in a file, if it was fitted to these images: to images of their mean; or None."""
    if not path.exists():
        return None
    whitener = ZCA.load(path)
    mean = train.mean(axis=0, dtype=np.float64)
    of_these = whitener.mean_.shape == mean.shape and np.allclose(
        whitener.mean_, mean, rtol=1e-9, atol=1e-12
    )
    return whitener if of_these and whitener.epsilon == ZCA_EPSILON else None


def first_images(data):
    """What a --quick run uses of the data set, and says so in its name."""
    n_train, n_test = QUICK_IMAGES
    if len(data.train_images) <= n_train:
        return data
    return dataclasses.replace(
        data,
        train_images=data.train_images[:n_train],
        train_labels=data.train_labels[:n_train],
        test_images=data.test_images[:n_test],
        test_labels=data.test_labels[:n_test],
        name=f"{data.name}, first {n_train:,} training and {n_test:,} test images",
    )


def labelled(data, label, original):
    """The data set under the name `label`, if there is one; the original's name is not given away.

    Ends the script if `label` claims to be the original and the data set is not known as it.
    """
    if label is None:
        return data
    if label.casefold() == original.casefold() and data.name != original:
        raise SystemExit(f"--label is {label!r}; that is the original, which {data.source} is not")
    return dataclasses.replace(data, name=label)
