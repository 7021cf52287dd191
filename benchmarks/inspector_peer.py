"""The peer of inspector.py: a model as anyone loads it for attention, asked for one text a line on stdin.

Answers a JSON line: seconds of the bare eager forward pass, and of the one that also gives its attention.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """Serve until stdin ends. Arguments: the model's directory, the longest input in tokens, the device."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    path, length, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, attn_implementation="eager").eval().to(device)
    for line in sys.stdin:
        inputs = tokenizer(json.loads(line), truncation=True, max_length=length, return_tensors="pt").to(device)
        seconds = []
        with torch.inference_mode():
            for attention in (False, True):
                started = time.perf_counter()
                output = model(**inputs, output_attentions=attention)
                output.logits.cpu()
                seconds.append(time.perf_counter() - started)
        answer = {"seconds": seconds, "tokens": inputs["input_ids"].shape[1]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
