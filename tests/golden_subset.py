"""Copy a reference case without its largest tensors, for a small clone; SKETCHGAN_GOLDEN brings the whole ones back.

python tests/golden_subset.py SOURCE DESTINATION PREFIX... [--most N]

Of the tensors whose names start with a prefix, those of more than N values are left out; the others are all kept.
"""

import argparse
import json

from safetensors import safe_open
from safetensors.torch import save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("prefixes", nargs="+")
    parser.add_argument("--most", type=int, default=0)
    options = parser.parse_args()
    with safe_open(options.source, "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    kept = {
        key: value
        for key, value in tensors.items()
        if not key.startswith(tuple(options.prefixes)) or value.numel() <= options.most
    }
    left_out = f"tensors of {', '.join(options.prefixes)} of more than {options.most} values"
    metadata["case"] = json.dumps(json.loads(metadata["case"]) | {"left_out": left_out})
    save_file(kept, options.destination, metadata)
    print(f"{len(tensors) - len(kept)} of {len(tensors)} tensors left out")


if __name__ == "__main__":
    main()
