"""Train the small classifier behind the `openmoji` scores, about four minutes on two CPU cores.

    python examples/train_openmoji_classifier.py --out openmoji_classifier.safetensors

It learns the seven groups from line art, OpenMoji's colours and Noto Emoji of the training split, and prints its
accuracy on the two held-out splits, by which nothing was chosen.
"""

import argparse
from typing import Any

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from sketchgan.data import OpenMoji
from sketchgan.data.base import Split
from sketchgan.data.transforms import to_uint8
from sketchgan.networks import OpenMojiClassifier


def pictures_of(split: Split) -> dict[str, tuple[Tensor, Tensor]]:
    """Pictures ``(N, 3, 64, 64)``, uint8, and groups of a split, per style."""
    styles = {}
    for paired, side, style in ((True, "A", "line art"), (True, "B", "OpenMoji"), (False, "B", "Noto")):
        data = OpenMoji(paired=paired, augment=False)
        entries = data.dataset(split)
        if split == "train" and not paired:  # in training the partner would be drawn at random
            entries.training = False  # type: ignore[attr-defined]
        samples = [entries[i] for i in range(len(entries))]  # type: ignore[arg-type]
        labels = torch.tensor([sample[f"{side}_label"] for sample in samples])
        styles[style] = to_uint8(torch.stack([sample[side] for sample in samples])), labels
    return styles


class Training(LightningModule):
    """Cross entropy with augmentation; AdamW on one cycle."""

    def __init__(self, lr: float, steps: int) -> None:
        super().__init__()
        self.net = OpenMojiClassifier()
        self.lr = lr
        self.steps = steps
        self.augment = nn.Sequential(
            K.RandomHorizontalFlip(p=0.5),
            K.RandomAffine(degrees=15.0, translate=(0.1, 0.1), scale=(0.8, 1.15), padding_mode="border", p=0.9),
            K.ColorJiggle(0.15, 0.15, 0.2, 0.05, p=0.5),
            K.RandomErasing(scale=(0.02, 0.15), value=1.0, p=0.5),
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        pictures, labels = batch
        augmented = self.augment(pictures.float() / 255) * 255
        return F.cross_entropy(self.net(augmented)[1], labels, label_smoothing=0.1)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=0.05)
        schedule = OneCycleLR(optimizer, self.lr, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main(args: list[str] | None = None) -> None:
    """Train, measure and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--out", default="openmoji_classifier.safetensors")
    options = parser.parse_args(args)

    seed_everything(0)
    train = pictures_of("train").values()
    dataset = TensorDataset(torch.cat([pictures for pictures, _ in train]), torch.cat([labels for _, labels in train]))
    loader = DataLoader(dataset, batch_size=64, shuffle=True, drop_last=True)
    training = Training(options.lr, options.epochs * len(loader))
    trainer = Trainer(max_epochs=options.epochs, logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.fit(training, loader)

    net = training.net.cpu().eval()
    net.load_state_dict({name: value.half() for name, value in net.state_dict().items()})  # what is saved is measured
    save_file({name: value.half() for name, value in net.state_dict().items()}, options.out)
    for split in ("val", "test"):
        accuracies = {style: net.accuracy(*data) for style, data in pictures_of(split).items()}
        print(f"{split}: " + ", ".join(f"{style} {accuracy:.1%}" for style, accuracy in accuracies.items()))


if __name__ == "__main__":
    main()
