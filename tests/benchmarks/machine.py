"""What the benchmarks run on: facts, versions, memory, and the convolutions that it does best."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import torch
import torch.nn.functional as F

DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
# Batch on a CPU, channels in and out, side: convolutions of 3×3 such as CycleGAN's networks and larger ones consist of.
_SHAPES = ((4, 128, 128, 128), (4, 256, 256, 64), (4, 512, 512, 32))


def _proc(file: str, key: str) -> str:
    """The first value of a key in a file of /proc, or nothing where there is none."""
    path = Path("/proc", file)
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def supported(precision: str, device: str) -> bool:
    """Whether the device computes in a precision itself, and Lightning offers it there."""
    if precision == "32-true":
        return True
    if device == "cuda":
        return precision == "16-mixed" or torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16-mixed" and bool({"avx512_bf16", "amx_bf16"} & set(_proc("cpuinfo", "flags").split()))


def facts(device: str) -> list[tuple[str, str]]:
    """The machine and the versions, without names of hosts or folders."""
    memory = int(_proc("meminfo", "MemTotal").split()[0] or 0) / 2**20 if _proc("meminfo", "MemTotal") else 0
    rows = [
        ("CPU", _proc("cpuinfo", "model name") or platform.processor() or platform.machine()),
        ("cores", f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}"),
        ("memory", f"{memory:.0f} GiB" if memory else "unknown"),
        ("GPU", torch.cuda.get_device_name() if device == "cuda" else "not used"),
        ("system", f"{_system()}, {platform.machine()}"),
        ("Python", platform.python_version()),
    ]
    return rows + [(name, importlib.metadata.version(name)) for name in ("torch", "lightning", "sketchgan")]


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


# Memory. Not ru_maxrss: on Linux a process starts with the peak of the one that started it.


def resident() -> int:
    """Bytes that this process holds now."""
    return 1024 * int(_proc("self/status", "VmRSS").split()[0])


def reset_peak(device: str) -> None:
    """Begin to look for the peak from here on (on a CPU this takes Linux)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: str) -> int:
    """Largest number of bytes since `reset_peak`: of torch's tensors on a GPU, of the whole process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * int(_proc("self/status", "VmHWM").split()[0])


def conv_peak(device: str, precision: str, channels_last: bool, repetitions: int) -> tuple[float, str]:
    """FLOP/s of the best of a few large convolutions, forward and backward, and which that was."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    best = (0.0, "")
    for batch, channels, width, side in _SHAPES:
        batch *= 8 if device == "cuda" else 1
        options = {"device": device, "dtype": DTYPES[precision]}
        images = torch.rand(batch, channels, side, side, **options).to(memory_format=layout).requires_grad_()
        weights = torch.rand(width, channels, 3, 3, **options).to(memory_format=layout).requires_grad_()
        flops = 3 * 2 * batch * channels * width * 9 * side**2  # forward, gradients of images and of weights
        for _ in range(repetitions + 1):  # the first one warms up; the best of the others counts
            synchronize(device)
            start = time.perf_counter()
            F.conv2d(images, weights, padding=1).backward(torch.ones_like(images))
            synchronize(device)
            name = f"{batch}×{channels}×{side}×{side} to {width} channels"
            best = max(best, (flops / (time.perf_counter() - start), name))
    return best
