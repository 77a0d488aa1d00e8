"""The cases of each family of kernels, one module a family: `CASES` lists them."""
