"""What tests of experiments share: stand-ins in place of layers, and what they note."""

from types import SimpleNamespace

import pytest
from tables import layer_files

from tests.support.experiments import Layer, Notes


@pytest.fixture
def notes(monkeypatch):
    """What the stand-ins note, which are in place of layers while rows are run."""
    notes = Notes(monkeypatch)
    made = SimpleNamespace(SparseConvAutoencoder=lambda **options: Layer(notes, **options))
    monkeypatch.setattr(layer_files, "minisca", made)
    return notes
