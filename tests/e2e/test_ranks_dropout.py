"""Several processes and weights that were loaded: the model trains, dropout and all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys
from pathlib import Path

from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback

from core import config_file, models
from core.training import build_arguments, build_trainer

base, out = Path(sys.argv[1]), Path(sys.argv[2])
train = {"max_steps": 4, "per_device_train_batch_size": 8, "per_device_eval_batch_size": 8,
         "eval_strategy": "steps", "eval_steps": 2,
         "save_strategy": "no", "load_best_model_at_end": False, "warmup_steps": 0}
launch = {"device": "cpu", "processes": int(os.environ["WORLD_SIZE"])}
config = config_file.validate({"model": {"name": str(base)}, "train": train, "launch": launch})
rows = [[2, *range(5, 8 + number % 4), 3] for number in range(64)]
tokens = Dataset.from_dict({"input_ids": rows, "length": [len(row) for row in rows], "labels": [0, 1] * 32})
model, _fresh = models.build_model(config.model, models.load_config(config.model))
seen = []
model.bert.register_forward_pre_hook(lambda module, inputs: seen.append(module.training))
arguments = build_arguments(config, out)
trainer = build_trainer(
    config, arguments, model, AutoTokenizer.from_pretrained(base), tokens, tokens, [TrainerCallback()]
)
seen.clear()
trainer.train()
(out / f"rank-{trainer.ranks.rank}.json").write_text(json.dumps(seen))
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_loaded_weights_train_and_score_each_in_its_mode(run_copy: Path, tmp_path: Path, processes: int) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    out.mkdir()
    small = BertConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForSequenceClassification(small).save_pretrained(base)
    for file in (run_copy / "model").glob("*token*"):
        (base / file.name).write_bytes(file.read_bytes())
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, str(script), str(base), str(out)],
        capture_output=True, text=True, check=False, env=environment, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(path.read_text()) for path in sorted(out.glob("rank-*.json"))]
    assert len(found) == processes
    for seen in found:
        scoring = [at for at, training in enumerate(seen) if not training]
        assert seen.count(True) == 4
        # After the first two steps, and after all of them.
        assert seen[:2] == [True, True]
        assert scoring[0] == 2
        assert not seen[-1]
