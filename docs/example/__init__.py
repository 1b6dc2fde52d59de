"""A carrier outside the package: what docs/carrier-guide.md explains, and the tests run."""
