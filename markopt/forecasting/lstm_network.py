"""The network behind the LSTM forecaster: architecture, pinball loss, training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from markopt.errors import DataError


@final
class QuantileNetwork(nn.Module):
    """LSTM over the past, a head that gives all quantiles of all steps at every position.

    Input (batch, time, features), of which the first is the standardised log rate; output (batch,
    time, horizon, levels), offsets from that rate in the same units. The head sees the newest input
    directly, beside the LSTM's state.
    """

    def __init__(
        self, features: int, *, hidden: int, head: int, horizon: int, levels: int, dropout: float
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.levels = levels
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(hidden + features, head),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(head, horizon * levels),
        )

    def forward(self, inputs: Tensor, positions: Tensor | slice) -> Tensor:
        """Return quantiles at the given positions in time, shape (batch, positions, H, Q)."""
        states, _ = self.lstm(inputs)
        chosen = torch.cat([states, inputs], dim=2)[:, positions]
        flat: Tensor = self.head(chosen)
        return flat.view(*flat.shape[:2], self.horizon, self.levels)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Standardised inputs and targets of one history, all float32.

    ``inputs`` has shape (n, features); ``targets`` (n, horizon) are the standardised log rates of
    the next steps, NaN without data; origins from ``split`` on are for validation.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    split: int


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how to train; see ``Lstm`` for the meaning of each."""

    epochs: int
    batch_size: int
    chunk: int
    warm_up: int
    stride: int
    peak_learning_rate: float
    weight_decay: float


def pinball(errors: Tensor, levels: Tensor) -> Tensor:
    """Return the pinball loss of target - quantile, elementwise."""
    return torch.maximum(levels * errors, (levels - 1.0) * errors)


def train(
    network: QuantileNetwork,
    data: TrainingData,
    levels: NDArray[np.float64],
    plan: TrainingPlan,
    generator: torch.Generator,
) -> None:
    """Train on random chunks of the history, with a one-cycle learning rate.

    Each chunk is read once and gives a forecast at every ``stride``-th position after its
    ``warm_up``: a hundred examples for the price of one.

    Raises:
        DataError: the history is shorter than one chunk.
    """
    inputs, targets = torch.from_numpy(data.inputs), torch.from_numpy(data.targets)
    starts = data.split - data.targets.shape[1] - plan.chunk
    if starts < 1:
        raise DataError(
            f"Lstm: training needs at least {plan.chunk + data.targets.shape[1] + 1} intervals "
            f"before the validation span, got {data.split}"
        )
    offsets = torch.arange(plan.chunk)
    tau = torch.from_numpy(levels.astype(np.float32))
    passes = (data.split - plan.warm_up) / (plan.batch_size * plan.chunk)
    steps = max(round(plan.epochs * passes), 2)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.peak_learning_rate, weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=plan.peak_learning_rate, total_steps=steps
    )
    network.train()
    for _ in range(steps):
        first = torch.randint(starts, (plan.batch_size, 1), generator=generator)
        rows = first + offsets
        shift = int(torch.randint(plan.stride, (1,), generator=generator))
        positions = torch.arange(plan.warm_up + shift, plan.chunk, plan.stride)
        chunk = inputs[rows]
        wanted = targets[rows[:, positions]] - chunk[:, positions, :1]
        loss = masked_pinball(network(chunk, positions), wanted, tau)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()


def masked_pinball(quantiles: Tensor, wanted: Tensor, levels: Tensor) -> Tensor:
    """Return the mean pinball loss over targets that have data."""
    known = torch.isfinite(wanted)
    errors = torch.where(known, wanted, 0.0)[..., None] - quantiles
    losses = pinball(errors, levels).mean(dim=-1) * known
    return losses.sum() / known.sum().clamp(min=1)


def predict(
    networks: Sequence[QuantileNetwork],
    inputs: NDArray[np.float32],
    origins: range,
    context: int,
) -> NDArray[np.float32]:
    """Return rising quantile offsets, (origins, H, Q), the mean over all networks.

    Every origin sees at least ``context`` intervals where the inputs hold them.
    """
    blocks = []
    with torch.inference_mode():
        for start in range(origins.start, origins.stop, context):
            begin, end = max(start - context + 1, 0), min(start + context, origins.stop)
            window = torch.from_numpy(inputs[begin:end][None])
            positions = slice(start - begin, None)
            answers = [network(window, positions)[0].numpy() for network in networks]
            blocks.append(np.sort(np.mean(answers, axis=0), axis=-1))
    return np.concatenate(blocks)
