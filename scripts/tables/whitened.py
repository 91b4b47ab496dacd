"""What reproduce_cifar10.py and reproduce_norb.py share: whitened images, features on the disk."""

import dataclasses

from features.files import FeatureFiles
from tables.run import FLOAT32_BYTES, Reproduction, feature_shape, float32_bytes, make_parser

from minisca.preprocessing import ZCA, contrast_normalise

ZCA_EPSILON = 0.1
RAW = "-raw"


def make_whitened_parser(*arguments, **options):
    """`make_parser`, with the arguments that these two scripts have besides."""
    parser = make_parser(*arguments, **options)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--whitened", action="store_true", default=True, help="contrast-normalise, whiten (default)"
    )
    either.add_argument(
        "--raw", action="store_false", dest="whitened", help="contrast-normalise only"
    )
    parser.add_argument(
        "--label", help='what the data are, in results and report ("CIFAR-10, JPEG", say)'
    )
    return parser


class WhitenedReproduction(Reproduction):
    """Rows that learn from whitened images, or from raw ones, for comparison.

    Raw images too are contrast-normalised. Brightness, which is never negative, would else take
    most of the loss: of 64 maps on 5,000 images in [0, 1] about one in ten stayed noise.
    """

    def __init__(self, arguments, data):
        super().__init__(arguments, data)
        self.variant = "" if arguments.whitened else RAW
        self.preparation = {"zca_epsilon": ZCA_EPSILON if arguments.whitened else None}
        self.train_images = self.test_images = None  # until a row needs them

    def run(self, row, seed):
        with FeatureFiles(self.output / "features") as self.files:
            super().run(row, seed)

    def train(self, seed, settings, watch):
        if self.train_images is None:
            with watch("prepare"):
                self.prepare()
        return super().train(seed, settings, watch)

    def prepare(self):
        """Normalise both sets; whiten them by the training set's statistics, and save those."""
        train, test = map(contrast_normalise, self.loaded_images())
        if self.arguments.whitened:
            whitener = ZCA(epsilon=ZCA_EPSILON).fit(train)
            whitener.save(self.output / "layers" / "zca.npz")
            train, test = map(whitener.transform, (train, test))
        self.train_images, self.test_images = train, test

    def loaded_images(self):
        """Training and test images (n, c, h, w) as they are before anything is done to them."""
        return self.data.train_images, self.data.test_images

    def encode(self, layer, images):
        """The layer's features; where they are too large to hold, in a file."""
        if float32_bytes(feature_shape(layer, images)) > FLOAT32_BYTES:
            return self.files.encode(layer, images)
        return layer.transform(images)

    def record_names(self):
        names = super().record_names()
        return [f"{name}{variant}" for variant in ("", RAW) for name in names]


def labelled(data, label, original):
    """The data set under the name `label`, if there is one; the original's name is not given away.

    Ends the script if `label` claims to be the original and the data set is not known as it.
    """
    if label is None:
        return data
    if label.casefold() == original.casefold() and data.name != original:
        raise SystemExit(f"--label is {label!r}; that is the original, which {data.source} is not")
    return dataclasses.replace(data, name=label)
