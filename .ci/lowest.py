"""Prints the lowest versions that pyproject.toml promises for this Python, as pip takes them."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
lowest = {}
for requirement in map(Requirement, project["project"]["dependencies"]):
    if requirement.marker is None or requirement.marker.evaluate():
        versions = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        lowest[requirement.name] = max([*versions, *filter(None, [lowest.get(requirement.name)])])
print(*(f"{name}=={version}" for name, version in lowest.items()))
