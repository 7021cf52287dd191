"""Trains a preset's tokenizer: `python -m core.tokenizer_process`, texts in as JSON, one a line, and tokenizer out."""

from __future__ import annotations

import json
import signal
import sys

from core.preset_tokenizer import train_backend
from core.processes import die_with_parent


def main() -> int:
    """Read texts from stdin and write the tokenizer to stdout; returns the exit code."""
    # Whoever started it ends it; what ends a whole group of processes is an order to him.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    tokenizer = train_backend(json.loads(line) for line in sys.stdin.buffer)
    sys.stdout.buffer.write(tokenizer.to_str().encode())
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
