"""What test_style_scores.py runs in two processes; what each logged goes to a file in the folder given."""

import json
import sys
import warnings
from pathlib import Path

from styled import Tinted, Tints
from training import quiet_trainer

from sketchgan.callbacks import HintAlarm, ImageMetrics, StyleMatrix

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
callbacks = [ImageMetrics(("hint_effect", "style_similarity")), StyleMatrix(2, 2, str(folder / "styles")), HintAlarm()]
run = quiet_trainer(devices=2, strategy="ddp_find_unused_parameters_true", callbacks=callbacks)
logged = run.validate(Tinted(), Tints(count=7, batch_size=3), verbose=False)[0]
(folder / f"{run.global_rank}.json").write_text(json.dumps(logged))
