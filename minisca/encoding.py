"""What a fitted layer makes of images, a batch at a time: features, winners, reconstructions.

The sparsity rule is off wherever features are asked for (paper section 2).
"""

import numpy as np

from minisca.backends import get_backend
from minisca.training.objective import loss_and_gradients, reconstruct, squared_norm
from minisca.validation import check_out, read_batch

#: Images that are encoded at a time.
ENCODE_BATCH = 256


class Encoding:
    """`transform` and its like of `SparseConvAutoencoder`."""

    def transform(self, X, out=None):
        """Features of images X (n, c, h, w): convolution, ReLU, overlapping max-pooling.

        Returns (n, m, ceil(h / pool_stride), ceil(w / pool_stride)) of the estimator's dtype, or
        `out`, an array of that shape (float16 or a memory map, say) that is filled instead. Raises
        NotFittedError before `fit`, ValueError or TypeError for images unlike those of `fit`,
        ImportError or RuntimeError if the backend does not run on this machine.
        """

        def encode(backend, parameters, x):
            filters, bias = parameters["encoder_filters"], parameters["encoding_bias"]
            return backend.encode_pooled(x, filters, bias, self.pool_width, self.pool_stride)

        X = self._check_new(X)
        sides = [-(-side // self.pool_stride) for side in X.shape[2:]]
        shape = (X.shape[0], len(self.encoder_filters_), *sides)
        out = np.empty(shape, self._trained_dtype) if out is None else check_out(out, shape)
        for rows, features in self._by_batch(X, encode, "encoding"):
            out[rows] = features
        return out

    def fit_transform(self, X, y=None, **fit_options):
        """`fit(X, y, **fit_options)`, then `transform(X)`."""
        return self.fit(X, y, **fit_options).transform(X)

    def feature_maps(self, X):
        """ReLU feature maps before pooling: (n, m, h, w). Large: m times the size of X."""

        def encode(backend, parameters, x):
            filters, bias = parameters["encoder_filters"], parameters["encoding_bias"]
            return backend.relu(backend.conv2d(x, filters, bias))

        X = self._check_new(X)
        return np.concatenate([maps for _, maps in self._by_batch(X, encode, "feature maps")])

    def winners(self, X):
        """The largest unit of every map of every image, whatever the sparsity rule.

        Returns values (n, m), 0 where a map has no positive unit, and positions (n, m) int32,
        row-major (row * width + column).
        """

        def encode(backend, parameters, x):
            return backend.encode_winners(
                x, parameters["encoder_filters"], parameters["encoder_bias"]
            )

        X = self._check_new(X)
        codes = [code for _, code in self._by_batch(X, encode, "winners")]
        values, positions = zip(*codes, strict=True)
        return np.concatenate(values), np.concatenate(positions)

    def reconstruct(self, X):
        """Images (n, c, h, w) rebuilt from what the sparsity rule lets survive.

        Lifetime sparsity, which depends on the batch, is left out.
        """
        X = self._check_new(X)
        return np.concatenate(
            [x_hat for _, x_hat in self._by_batch(X, self._rebuild, "reconstructing")]
        )

    def _rebuild(self, backend, parameters, x):
        return reconstruct(backend, self._sparsity()._replace(lifetime=None), parameters, x)

    def score(self, X, y=None):
        """Minus the mean over images of ||x_hat - x||^2: the larger, the better."""
        X = self._check_new(X)
        total = 0.0
        for rows, x_hat in self._by_batch(X, self._rebuild, "scoring"):
            total += squared_norm(x_hat - read_batch(X, rows, self._trained_dtype))
        return -total / X.shape[0]

    def usage(self, X):
        """Fraction of the images X in which each map has a survivor: (m,) float64.

        A map that hardly ever has one is dead (paper section 2.1, "dead filters").
        """
        X = self._check_new(X)
        sparsity = self._sparsity()._replace(lifetime=None)

        def encode(backend, parameters, x):
            arguments = x, parameters["encoder_filters"], parameters["encoder_bias"]
            if sparsity.rule == "none":
                return *backend.encode_winners(*arguments), None
            return sparsity.encode(backend, *arguments)

        def active(values, _, maps):
            if maps is None:
                return values > 0
            found = np.zeros((len(values), len(self.encoder_filters_)), bool)
            images, slots = np.nonzero(values > 0)
            found[images, maps[images, slots]] = True
            return found

        codes = self._by_batch(X, encode, "usage")
        return sum(active(*code).sum(axis=0) for _, code in codes) / X.shape[0]

    def loss_and_gradients(self, X):
        """Mean over images X of ||x_hat - x||^2 and its gradients, by parameter name.

        Returns (float, {"encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias"}), the
        gradients shaped as the parameters; with tied weights the filters' whole gradient stands
        under "encoder_filters" and there is no "decoder_filters".
        """
        X = self._check_new(X)
        backend = get_backend(self.backend)
        x = backend.to_device(read_batch(X, slice(0, X.shape[0]), self._trained_dtype))
        loss, gradients = loss_and_gradients(
            backend, self._sparsity(), self._parameters(backend), x
        )
        return loss, {name: backend.to_host(value) for name, value in gradients.items()}

    def _by_batch(self, X, function, description):
        """Yield (rows, what `function(backend, parameters, images)` returns) over X.

        Arrays that it returns are brought to the host. A progress bar, if it takes long.
        """
        backend = get_backend(self.backend)
        parameters = self._parameters(backend)
        parameters["encoding_bias"] = backend.to_device(
            float(self.encoding_bias) * self.encoder_bias_
        )
        n = X.shape[0]
        with self._bar(total=n, unit="image", desc=description, delay=2) as bar:
            for start in range(0, n, ENCODE_BATCH):
                rows = slice(start, min(start + ENCODE_BATCH, n))
                x = backend.to_device(read_batch(X, rows, self._trained_dtype))
                yield rows, _on_host(backend, function(backend, parameters, x))
                bar.update(rows.stop - rows.start)


def _on_host(backend, results):
    """One array, or a tuple of arrays and None, as NumPy arrays."""
    if isinstance(results, tuple):
        return tuple(None if part is None else backend.to_host(part) for part in results)
    return backend.to_host(results)
