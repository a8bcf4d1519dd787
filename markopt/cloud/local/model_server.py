"""A real model behind a real model server: mosec with dynamic batching, one thread of PyTorch.

The model is a transformer encoder with seeded weights that classifies sequences of tokens. What it
says is of no use to anybody; how long it takes is what a model of its size takes on one core.

    python -m markopt.cloud.local.model_server --port 8000 --folder /tmp/m --largest-batch 8
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markopt.cloud.local.processes import die_with_parent, end_group_with_leader

if TYPE_CHECKING:
    from torch import nn

VOCABULARY, LENGTH, WIDTH, LAYERS, HEADS, CLASSES = 1000, 128, 256, 6, 4, 10
_SEED, _LARGEST, _PARENT = "MARKOPT_MODEL_SEED", "MARKOPT_LARGEST_BATCH", "MARKOPT_MODEL_SERVER"


def example_bodies(seed: int, number: int = 16) -> list[str]:
    """Return requests for the model: sequences of tokens as JSON."""
    draws = random.Random(seed)
    return [json.dumps([draws.randrange(VOCABULARY) for _ in range(LENGTH)]) for _ in range(number)]


def build_model(seed: int) -> nn.Module:
    """Return the model: embedding, encoder layers, mean, classes."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            classes: torch.Tensor = self.head(self.encoder(self.embedding(tokens)).mean(dim=1))
            return classes

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier().eval()


def checked_tokens(request: Any) -> list[int]:
    """Return a request's tokens.

    Raises:
        ValueError: it is no list of as many whole numbers as the model takes.
    """
    if (
        not isinstance(request, list)
        or len(request) != LENGTH
        or not all(type(token) is int and 0 <= token < VOCABULARY for token in request)
    ):
        raise ValueError(f"expected {LENGTH} tokens from 0 to {VOCABULARY - 1}")
    return request


def _worker() -> type:
    """Return mosec's worker class around the model."""
    from mosec import ValidationError, Worker

    class ModelWorker(Worker):  # type: ignore[misc] # mosec is not followed
        def __init__(self) -> None:
            import torch

            die_with_parent(int(os.environ[_PARENT]))
            torch.set_num_threads(1)
            self._torch = torch
            self._model = build_model(int(os.environ[_SEED]))
            for size in (1, int(os.environ[_LARGEST])):  # first calls allocate and choose kernels
                for _ in range(3):
                    self.forward([[0] * LENGTH] * size)

        def forward(self, data: list[Any]) -> list[int]:
            try:
                tokens = [checked_tokens(request) for request in data]
            except ValueError as error:
                raise ValidationError(str(error)) from None
            with self._torch.inference_mode():
                scores = self._model(self._torch.tensor(tokens))
            classes: list[int] = scores.argmax(dim=1).tolist()
            return classes

    return ModelWorker


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m markopt.cloud.local.model_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for mosec's sockets")
    parser.add_argument("--largest-batch", type=int, default=8)
    parser.add_argument("--wait-ms", type=int, default=1, help="how long a batch waits for company")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    given = parser.parse_args(arguments)
    end_group_with_leader()  # mosec's own controller would outlive a killed server
    os.environ[_SEED] = str(given.seed)
    os.environ[_LARGEST] = str(given.largest_batch)
    os.environ[_PARENT] = str(os.getpid())
    from mosec import Server

    sys.argv = [
        sys.argv[0],
        *("--address", "127.0.0.1", "--port", str(given.port), "--path", str(given.folder)),
        *("--timeout", "60000", "--log-level", "warning"),
    ]
    server = Server()
    server.append_worker(
        _worker(),
        max_batch_size=given.largest_batch,
        max_wait_time=given.wait_ms,
        start_method="fork",
    )
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
