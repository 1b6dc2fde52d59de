"""SMS notification and broadcast gateway for a township service hall."""

__version__ = "0.1.0"
