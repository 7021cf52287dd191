"""The terminal side of nsmc-tui: the command line, screens and widgets. Nothing here imports torch."""
