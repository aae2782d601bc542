import pytest
import torch
from PIL import Image
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from training import quiet_trainer

from sketchgan import CycleGAN, Pix2Pix
from sketchgan.callbacks import GracefulStop, ImageMetrics, SampleGrid
from sketchgan.callbacks.grids import draw_grid
from sketchgan.data import OpenMoji
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator


def small_pix2pix(**kwargs):
    return Pix2Pix(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1), **kwargs)


def test_scores_are_those_of_the_whole_set():
    data = OpenMoji(image_size=32, groups=["activities"], batch_size=4)
    module = small_pix2pix()
    run = quiet_trainer(callbacks=[ImageMetrics()])
    scores = run.validate(module, data, verbose=False)[0]
    made, true = [], []
    for batch in data.val_dataloader():
        pictures = module.sample(batch)
        made.append((pictures["fake_B"].detach() / 2 + 0.5).clamp(0, 1))
        true.append((pictures["real_B"] / 2 + 0.5).clamp(0, 1))
    made, true = torch.cat(made), torch.cat(true)
    assert len(made) > 4
    assert scores["val/l1"] == pytest.approx((made - true).abs().mean().item(), rel=1e-5)
    mean = peak_signal_noise_ratio(made, true, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    assert scores["val/psnr"] == pytest.approx(mean.item(), rel=1e-5)  # of pictures, not of their pooled error
    expected = structural_similarity_index_measure(made, true, data_range=1.0).item()
    assert scores["val/ssim"] == pytest.approx(expected, rel=1e-4)


def test_unpaired_translations_are_not_compared_with_b():
    module = CycleGAN(
        *(ResnetGenerator(ngf=2, n_blocks=0) for _ in range(2)),
        *(PatchDiscriminator(3, ndf=2, n_layers=1) for _ in range(2)),
    )
    data = OpenMoji(paired=False, image_size=32, groups=["activities"])
    scores = quiet_trainer(callbacks=[ImageMetrics()]).test(module, data, verbose=False)[0]
    assert scores.keys() == {"test/rec_a_l1", "test/rec_b_l1"}


def test_grid_holds_the_pictures_by_row():
    rows = {
        "real_A": [torch.full((1, 4, 6), value, dtype=torch.uint8) for value in (10, 20)],
        "fake_B": [torch.full((3, 4, 6), value, dtype=torch.uint8) for value in (30, 40)],
    }
    grid = draw_grid(rows, gap=2)
    assert grid.size == (52 + 2 * 8, 2 * 6)
    assert [grid.getpixel(at)[0] for at in ((53, 1), (61, 1), (53, 7), (61, 7))] == [10, 20, 30, 40]


def test_grid_shows_the_same_held_out_samples_every_time_and_reaches_tensorboard(tmp_path):
    from lightning.pytorch.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data = OpenMoji(image_size=32, groups=["activities"], batch_size=4)
    run = quiet_trainer(
        max_epochs=2, limit_train_batches=1, logger=TensorBoardLogger(tmp_path), callbacks=[SampleGrid(count=6)]
    )
    run.fit(small_pix2pix(), data)
    folder = tmp_path / "lightning_logs" / "version_0" / "samples"
    assert sorted(path.name for path in folder.iterdir()) == ["epoch=000.png", "epoch=001.png", "latest.png"]
    first, second = (Image.open(folder / f"epoch=00{i}.png") for i in (0, 1))
    assert first.width == 52 + 6 * 34
    top = (0, 0, first.width, 32)
    assert first.crop(top).tobytes() == second.crop(top).tobytes()  # real_A
    assert first.tobytes() != second.tobytes()
    events = EventAccumulator(str(folder.parent), size_guidance={"images": 0}).Reload()
    assert [image.step for image in events.Images("samples")] == [1, 2]
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        SampleGrid(count=0)


def test_signal_handlers_are_put_back():
    import signal

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    data = OpenMoji(image_size=32, groups=["activities"], batch_size=4)
    quiet_trainer(max_epochs=1, limit_train_batches=1, callbacks=[GracefulStop()]).fit(small_pix2pix(), data)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
