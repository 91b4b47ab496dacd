"""Steps of training: the host starts each launch of them and tells each step its batch."""


def make_steps():
    """See `minisca.backends.interface.Support.make_steps`."""
    return None
