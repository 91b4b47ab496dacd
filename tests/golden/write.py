"""python -m tests.golden.write: adds the entries that are missing, and never changes one."""

import json

import numpy as np

from tests.golden import machines


def add_missing():
    stored = machines.read_digests(), machines.read_values()
    for width in machines.LEVELS:
        if (reason := machines.obstacle(width)) is not None:
            print(f"nothing added for {reason}")
            continue
        for entries, found in zip(stored, machines.compute(width), strict=True):
            for case, arrays in found.items():
                own = entries.setdefault(width, {}).setdefault(case, {})
                for name in arrays.keys() - own.keys():
                    own[name] = arrays[name]
                    print(f"added for {width} bytes: {case}, {name}")
    digests, values = stored
    machines.DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
    np.savez_compressed(
        machines.VALUES,
        **{
            f"{width}|{case}|{name}": array
            for width, cases in values.items()
            for case, arrays in cases.items()
            for name, array in arrays.items()
        },
    )


if __name__ == "__main__":
    add_missing()
