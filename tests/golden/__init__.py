"""Whether what small fits learn and compute is still the same to the last bit.

`cases` computes, `digests.json` and `values.npz` hold what came of it before, `machines` computes
it as a machine of 64, 32 or 16 bytes a vector does, and `python -m tests.golden.write` adds what
has no entry yet. The entries are of NumPy 2.4.6 and Numba 0.68.1 (LLVM 20): another LLVM may order
a vectorised sum differently.
"""
