"""The encoder's convolution in PyTorch as matrix products, with each map's largest unit.

A few images or maps at a time, so that no map is written to memory.
"""

#: Numbers that are computed at a time: about what a core's caches hold.
MOST_AT_A_TIME = 1 << 20


def of_patches(torch, x, filters):
    """Of every map the largest unit and where (n, m), some images' patches at a time."""
    height, width = x.shape[2:]
    k, rows = filters.shape[2], filters.flatten(1)
    windows = torch.nn.functional.pad(x, [k // 2] * 4).unfold(2, k, 1).unfold(3, k, 1)
    step = max(1, MOST_AT_A_TIME // (height * width * (len(rows) + rows.shape[1])))
    found = []
    for some in windows.split(step):  # (step, c, h, w, k, k)
        patches = some.permute(1, 4, 5, 0, 2, 3).reshape(rows.shape[1], -1)
        found.append((rows @ patches).reshape(len(rows), len(some), -1).max(2))
    return [torch.cat(parts, 1).T for parts in zip(*found, strict=True)]


def of_spectra(torch, x, filters, positions=None):
    """The same by the convolution theorem: transforms are products too, a few maps at a time.

    positions (n, m): where units are wanted in place of the largest ones; those alone are returned.

    A correlation is the image's spectrum times the filter's conjugate one. Real and imaginary parts
    stand one below the other: a product of real matrices gives both.
    """
    n, c, *size = x.shape
    m, _, k, _ = filters.shape
    of_images, of_taps, back = _transforms(torch, tuple(size), k, x)
    spectra = (of_images @ x.permute(2, 3, 0, 1).reshape(-1, n * c)).reshape(-1, 2, n, c)
    real, imaginary = spectra.unbind(1)
    upper, lower = torch.cat([real, imaginary], 2), torch.cat([imaginary, -real], 2)
    left = torch.cat([upper, lower], 1)  # (frequencies, 2 n, 2 c)
    step = max(1, 4 * MOST_AT_A_TIME // (2 * len(left) * max(n, c)))
    found = []
    taps = filters.permute(2, 3, 1, 0).reshape(k * k, c, m)
    for first in range(0, m, step):
        right = of_taps @ taps[:, :, first : first + step].reshape(k * k, -1)
        right = right.reshape(len(left), 2 * c, -1)
        maps = back @ torch.bmm(left, right).reshape(2 * len(left), -1)  # (h w, n step)
        if positions is None:
            found.append(maps.max(0))
        else:
            found.append(maps.gather(0, positions[:, first : first + step].reshape(1, -1)))
    found = [
        torch.cat([of.reshape(n, -1) for of in parts], 1) for parts in zip(*found, strict=True)
    ]
    return found if positions is None else found[0]


def _transforms(torch, size, k, like):
    """Matrices from images (h w) and taps (k k) to spectra, their parts as rows, and back."""
    period = [side + k // 2 for side in size]

    def forth(*sides):
        every = torch.eye(sides[0] * sides[1], dtype=torch.float64).reshape(-1, *sides)
        parts = torch.view_as_real(torch.fft.rfft2(every, period).flatten(1))
        return parts.permute(1, 2, 0).flatten(0, 1)  # (2 frequencies, h w)

    of_images = forth(*size)
    every = torch.view_as_complex(
        torch.eye(len(of_images), dtype=torch.float64).unflatten(1, (-1, 2))
    )
    back = torch.fft.irfft2(every.reshape(len(every), period[0], -1), period)
    back = back.roll((k // 2, k // 2), (1, 2))[:, : size[0], : size[1]].flatten(1).T
    return [matrix.contiguous().to(like) for matrix in (of_images, forth(k, k), back)]
