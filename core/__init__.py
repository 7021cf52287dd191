"""Everything of nsmc-tui that is not a screen: config, data, training, runs, evaluation, attention.

Importing `core` or one of its light modules costs milliseconds; modules that need torch, transformers,
datasets or scikit-learn import them inside the functions that use them.
"""

__version__ = "0.1.0"
