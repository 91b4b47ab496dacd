"""The operations of the best step that we can write in PyTorch, with gradients by hand.

Each after the winners has two kinds of ways: dense convolutions of maps that hold the winners
alone, which tensor cores are fast at, and sums over gathered patches, or over rows of these, which
are a hundred times less work. What has no operation in PyTorch is compiled or written in Triton.
"""

from bench import peer_products, peer_rows

DENSE, LAST, GATHERED, ROWS = "dense", "dense, channels last", "gathered", "rows"
PATCHES, SPECTRA, COMPILED = "patches", "spectra", "rows, compiled"
#: What each operation of a step is measured in on the CPU.
WAYS = {
    "encode": (DENSE, LAST, PATCHES, SPECTRA),
    "decode": (DENSE, LAST, GATHERED, ROWS),
    "slopes": (DENSE, LAST, SPECTRA, ROWS, COMPILED),
    "gradient": (DENSE, LAST, GATHERED, ROWS),
}
#: And on a device, where products of dense maps are cheap and Triton there.
DEVICE_WAYS = {
    "encode": (DENSE, LAST),
    "decode": (DENSE, LAST, GATHERED),
    "slopes": (DENSE, LAST, GATHERED),
    "gradient": (DENSE, LAST, GATHERED),
}


class Operations:
    """Of tensors: images (n, c, h, w), filters (m, c, k, k), a code of values, positions (n, m).

    ways: {operation: its way}; dense where it says nothing.
    """

    def __init__(self, torch, ways=()):
        self.torch, self.functional = torch, torch.nn.functional
        self.ways = dict.fromkeys(WAYS, DENSE) | dict(ways)
        self.slopes_of_rows = peer_rows.slopes
        if self.ways["slopes"] == COMPILED:
            self.slopes_of_rows = torch.compile(peer_rows.slopes, dynamic=False)

    def encode(self, x, filters, bias):
        """Of every map its largest unit, and where: neither depends on the bias until then."""
        if self.ways["encode"] == PATCHES:
            largest, positions = peer_products.of_patches(self.torch, x, filters)
        elif self.ways["encode"] == SPECTRA:
            largest, positions = peer_products.of_spectra(self.torch, x, filters)
        else:
            largest, positions = self.convolve(x, filters).flatten(2).max(2)
        return self.torch.relu(largest + bias), positions

    def units(self, x, filters, bias):
        return self.torch.relu(self.convolve(x, filters, bias)).flatten(2)

    def convolve(self, x, filters, bias=None):
        x, filters = self.laid("encode", x, filters)
        return self.functional.conv2d(x, filters, bias, padding=filters.shape[2] // 2)

    def decode(self, values, positions, filters, bias, size):
        if self.ways["decode"] == ROWS:
            sums = peer_rows.decode(self.torch, values, positions, filters, size)
            return sums + bias[:, None, None]
        if self.ways["decode"] != GATHERED:
            maps, filters = self.laid("decode", self.maps(values, positions, size), filters)
            padding = filters.shape[2] // 2
            return self.functional.conv_transpose2d(maps, filters, bias, padding=padding)
        columns = self.sums_at_pixels(values, positions, filters, size)
        return bias[:, None, None] + self.fold(columns, filters, size)

    def sums_at_pixels(self, values, positions, filters, size):
        """Of every pixel the sum of values times filters that won there (n h w, k k c)."""
        torch, (n, m) = self.torch, values.shape
        places = size[0] * size[1]
        images = torch.arange(n, device=values.device, dtype=torch.int32)[:, None]
        where, order = (images * places + positions.int()).flatten().sort()
        starts = torch.searchsorted(
            where, torch.arange(n * places, device=where.device, dtype=torch.int32)
        )
        return self.functional.embedding_bag(
            order % m,
            filters.permute(0, 2, 3, 1).flatten(1),
            starts,
            mode="sum",
            per_sample_weights=values.flatten()[order],
        )

    def fold(self, columns, filters, size):
        """Every pixel's patch put where it lies, overlaps summed up."""
        _, c, k, _ = filters.shape
        columns = columns.reshape(-1, size[0] * size[1], k * k, c).permute(0, 3, 2, 1)
        columns = columns.reshape(-1, c * k * k, size[0] * size[1])
        return self.functional.fold(columns, size, k, padding=k // 2)

    def slopes(self, values, positions, error, filters):
        """What the loss changes by with each winner: its filter times the error's patch."""
        if self.ways["slopes"] == GATHERED:
            from bench import peer_gathered  # needs Triton, which comes with PyTorch for a device

            taps = filters.permute(0, 2, 3, 1).flatten(1)
            found = peer_gathered.products(self.patches(error, filters), positions, taps)
        elif self.ways["slopes"] == SPECTRA:
            found = peer_products.of_spectra(self.torch, error, filters, positions)
        elif self.ways["slopes"] in (ROWS, COMPILED):
            found = self.slopes_of_rows(self.torch, positions, error, filters)
        else:
            laid, filters = self.laid("slopes", error, filters)
            maps = self.functional.conv2d(laid, filters, padding=filters.shape[2] // 2)
            found = maps.flatten(2).gather(2, positions[..., None])[..., 0]
        return found * (values > 0)

    def patches(self, images, filters):
        """Of every pixel what its filters see (n, h w, k k c)."""
        k = filters.shape[2]
        padded = self.functional.pad(images, [k // 2] * 4).permute(0, 2, 3, 1).contiguous()
        found = padded.unfold(1, k, 1).unfold(2, k, 1)  # (n, h, w, c, k, k)
        return found.permute(0, 1, 2, 4, 5, 3).reshape(len(images), -1, k * k * images.shape[1])

    def gradient(self, values, positions, images, filters):
        """Of filters: the sum over the batch of a winner times the patch where it won."""
        if self.ways["gradient"] == ROWS:
            return peer_rows.gradient(self.torch, values, positions, images, filters.shape[2])
        if self.ways["gradient"] == GATHERED:
            n, c, h, w = images.shape
            start = self.torch.arange(n, device=positions.device)[:, None] * (h * w)
            sums = self.functional.embedding_bag(
                (positions + start).T.contiguous(),
                self.patches(images, filters).flatten(0, 1),
                mode="sum",
                per_sample_weights=values.T.contiguous(),
            )
            k = filters.shape[2]
            return sums.reshape(-1, k, k, c).permute(0, 3, 1, 2)
        maps, images = self.laid("gradient", self.maps(values, positions, images.shape[2:]), images)
        padding = [filters.shape[2] // 2] * 2
        return self.torch.nn.grad.conv2d_weight(images, filters.shape, maps, padding=padding)

    def maps(self, values, positions, size):
        places = size[0] * size[1]
        empty = values.new_zeros((*values.shape, places))
        return empty.scatter_(2, positions[..., None], values[..., None]).unflatten(2, (*size,))

    def laid(self, name, *arrays):
        last = self.torch.channels_last
        if self.ways[name] != LAST:
            return arrays
        return [array.contiguous(memory_format=last) for array in arrays]

    def loss_and_gradients(self, x, parameters, code=None):
        """The mean loss of the images and the gradients, in the order of the parameters; the code.

        code: whose winners to take in place of its own.
        """
        encoder, encoder_bias, decoder, decoder_bias = parameters
        size = tuple(x.shape[2:])
        values, positions = code or self.encode(x, encoder, encoder_bias)
        difference = self.decode(values, positions, decoder, decoder_bias, size) - x
        loss = (difference**2).sum() / len(x)
        error = difference * (2 / len(x))
        slopes = self.slopes(values, positions, error, decoder)
        gradients = (
            self.gradient(slopes, positions, x, encoder),
            slopes.sum(0),
            self.gradient(values, positions, error, decoder),
            error.sum((0, 2, 3)),
        )
        return loss, gradients, (values, positions)
