"""Files of classifiers' fits: a run that is interrupted goes on with them when it is resumed."""

from common.ranks import is_first


class FitFiles:
    """The fits of one record, of the row and seed in `run`; each has a file until it is removed.

    They lie in classifiers/ beside the records. Where a run does not resume, they begin anew.
    """

    def __init__(self, results, run):
        self.directory = results.path.parent / "classifiers"
        self.resume = results.resume
        self.name = f"fit-{run['row']}-seed{run['seed']}"

    def options(self, fit):
        """How a classifier is fitted; fit: its kind, its penalty, and what it is for, as text."""
        return {"checkpoint": self.path(fit), "resume": self.resume}

    def path(self, fit):
        return self.directory / f"{self.name}-{fit}.npz"

    def remove(self, fits):
        """Remove the files of these fits, once their record is written."""
        for fit in fits if is_first() else ():
            self.path(fit).unlink(missing_ok=True)
