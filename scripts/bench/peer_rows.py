"""What follows the winners in PyTorch, of their patches alone, a row of a patch at a time.

A row is k neighbouring pixels with all their channels: k c numbers that lie together once every
pixel's rows are written side by side. That takes a k-th of the memory that whole patches take.
"""

#: Numbers of gathered patches that are held at once: what a second-level cache holds.
MOST_GATHERED = 1 << 20


def rows_of(torch, images, k):
    """(n (h + k - 1) w, k c) of images (n, c, h, w), whose borders are 0."""
    padded = torch.nn.functional.pad(images, [k // 2] * 4).permute(0, 2, 3, 1).contiguous()
    rows = padded.unfold(2, k, 1).transpose(3, 4)  # (n, h + k - 1, w, k, c)
    return rows.reshape(-1, k * images.shape[1]).contiguous()


def rows_of_winners(torch, positions, k, size):
    """Which of those rows every winner's patch has (n, m, k)."""
    height, width = size
    images = torch.arange(len(positions), device=positions.device)[:, None]
    first = positions + images * ((height + k - 1) * width)
    return first[..., None] + torch.arange(k, device=positions.device) * width


def filter_rows(filters):
    """(m, k k c), as rows are laid."""
    return filters.permute(0, 2, 3, 1).flatten(1)


def slopes(torch, positions, error, filters):
    """Of every winner (n, m) its filter times the patch of the error, a few maps at a time."""
    k, taps = filters.shape[2], filter_rows(filters)
    rows, at = rows_of(torch, error, k), rows_of_winners(torch, positions, k, error.shape[2:])
    if torch.compiler.is_compiling():  # then nothing is held
        return (rows[at].flatten(2) * taps).sum(2)
    at = at.transpose(0, 1)
    step = max(1, MOST_GATHERED // (len(error) * taps.shape[1]))
    found = []
    for own, maps in zip(at.split(step), taps.split(step), strict=True):
        patches = rows.index_select(0, own.flatten()).reshape(len(own), len(error), -1)
        found.append(torch.bmm(patches, maps[..., None])[..., 0])
    return torch.cat(found).T


def gradient(torch, values, positions, images, k):
    """Of filters (m, c, k, k): the sum over the batch of a winner times the patch where it won."""
    n, m = values.shape
    at = rows_of_winners(torch, positions, k, images.shape[2:]).permute(1, 2, 0)
    sums = torch.nn.functional.embedding_bag(
        at.reshape(m * k, n),
        rows_of(torch, images, k),
        mode="sum",
        per_sample_weights=values.T[:, None].expand(m, k, n).reshape(m * k, n),
    )
    return sums.reshape(m, k, k, -1).permute(0, 3, 1, 2)


def decode(torch, values, positions, filters, size):
    """The sum of every winner's value times its filter, around where it won (n, c, h, w)."""
    m, c, k, _ = filters.shape
    n, (height, width), taps = len(values), size, filter_rows(filters)
    sums = values.new_zeros((n * (height + k - 1) * width, k * c))
    at = rows_of_winners(torch, positions, k, size)
    step = max(1, MOST_GATHERED // (n * taps.shape[1]))
    step = m if torch.compiler.is_compiling() else step
    for own, maps, value in zip(
        at.split(step, 1), taps.split(step), values.split(step, 1), strict=True
    ):
        sums.index_add_(0, own.flatten(), (value[..., None] * maps).reshape(-1, k * c))
    sums = sums.reshape(n, height + k - 1, width, k, c)[:, k // 2 : k // 2 + height]
    found = values.new_zeros((n, height, width + k - 1, c))
    for tap in range(k):
        found[:, :, tap : tap + width] += sums[:, :, :, tap]
    return found[:, :, k // 2 : k // 2 + width].permute(0, 3, 1, 2)
