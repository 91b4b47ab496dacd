"""Fashion-MNIST: 70,000 images of clothes in ten classes, in files like MNIST's.

Nothing is downloaded here: Debian has it as a package, dataset-fashion-mnist.
"""

import os
from pathlib import Path

from minisca.datasets.dataset import Dataset
from minisca.datasets.errors import DatasetError, DatasetNotFoundError
from minisca.datasets.locate import locate
from minisca.datasets.mnist import SOURCE, load_files
from minisca.types import PathLike

#: Where Debian's package puts the files.
PACKAGE = "/usr/share/datasets/fashion-mnist"
FOLDERS = ("fashion-mnist", "FashionMNIST/raw", "raw")  # the second and third: torchvision's


def load_fashion_mnist(data_dir: PathLike | None = None) -> Dataset:
    """Load Fashion-MNIST from its four IDX files, which have the names of MNIST's.

    Parameters
    ----------
    data_dir : path or None (default)
        A directory that has them, or its folder `fashion-mnist` does, or torchvision's
        `FashionMNIST/raw` in it. None: such a folder of $MINISCA_DATA, then
        /usr/share/datasets/fashion-mnist, where Debian's package puts them.

    Returns
    -------
    Dataset, as `load_mnist` returns it

    Raises
    ------
    DatasetNotFoundError where the files are in none of these places; DatasetError if one is
    damaged, if they do not fit together, or if they are MNIST.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", arXiv 1708.07747.
    """
    what = "data_dir"
    if data_dir is None:
        data_dir, what = _usual_place(), "Fashion-MNIST's directory"
    data = load_files(locate(SOURCE._replace(folders=FOLDERS), data_dir, what, required=True))
    if data.name == "MNIST":
        raise DatasetError(f"{data.source} holds MNIST; it must hold Fashion-MNIST")
    return data


def _usual_place():
    places = [Path(PACKAGE)]
    if os.environ.get("MINISCA_DATA"):
        directory = Path(os.environ["MINISCA_DATA"]).expanduser()
        places = [*(directory / folder for folder in FOLDERS[:2]), *places]
    for place in places:
        if place.is_dir():
            return place
    raise DatasetNotFoundError(
        f"Fashion-MNIST is in none of {', '.join(map(str, places))}; give its directory as "
        "data_dir, or MINISCA_DATA as that of its folder, or install dataset-fashion-mnist"
    )
