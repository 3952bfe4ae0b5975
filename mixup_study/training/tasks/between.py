"""What a classifier does in between training examples (section 2, Figure 2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment, Measurements
from mixup_study.training.tasks.classifier import Classifier
from mixup_study.training.tasks.evaluation import Evaluation

PAIRS_BATCH = 500
"""Pairs that are mixed at a time."""
QUANTITIES = ("misses", "loss_gradient_norm", "logit_gradient_norm")


class Between(Evaluation):
    """Predictions, and gradients with respect to the input, at ``lambda x_i + (1 - lambda) x_j`` of random pairs.

    A miss is a prediction that is neither y_i nor y_j (Figure 2a). Gradients are of the cross-entropy with the mixed
    label, and of the largest logit (Figure 2b); the input is the normalised one, and the norm Euclidean. Labels are
    those that the model was trained with. It predicts in evaluation mode, without augmentation, in float32.
    """

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data and the model."""
        self._trial = trial
        self._classifier = Classifier.trained(trial.source, environment)
        self._inputs_N = self._classifier.data.train_inputs_N
        self._labels_N = self._classifier.data.train_labels_N

    def evaluate(self) -> Measurements:
        """Return the three quantities in the middle and over all lambdas, and each lambda's mean and standard error."""
        lams_L = torch.linspace(0, 1, self._trial.lambdas, dtype=torch.float64)
        mean_LQ, error_LQ = (np.empty((len(lams_L), len(QUANTITIES))) for _ in range(2))
        for row, lam in enumerate(lams_L.tolist()):
            values_PQ = torch.cat(list(self._measure_pairs(lam))).double().cpu().numpy()
            mean_LQ[row] = values_PQ.mean(0)
            error_LQ[row] = values_PQ.std(0, ddof=1) / np.sqrt(len(values_PQ))
        measurements = {}
        for column, name in enumerate(QUANTITIES):
            measurements[f"{name}_at_half"] = float(mean_LQ[len(lams_L) // 2, column])
            measurements[f"{name}_mean"] = float(mean_LQ[:, column].mean())
        points = {
            "kind": np.repeat(np.array(QUANTITIES), len(lams_L)),
            "x": np.tile(lams_L.numpy(), len(QUANTITIES)),
            "y": mean_LQ.T.ravel(),
            "value": error_LQ.T.ravel(),
        }
        return Measurements(measurements, points, self._classifier.data.digest)

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Return the places of both examples of each pair, (P,) each; they are two examples, each pair drawn anew."""
        generator = torch.Generator().manual_seed(stream_seed(self._trial.pairs_seed, "pairs"))
        count, examples = self._trial.pairs, len(self._labels_N)
        first_P = torch.randint(examples, (count,), generator=generator)
        distance_P = torch.randint(1, max(2, examples), (count,), generator=generator)
        second_P = (first_P + distance_P) % examples
        return first_P.to(self._labels_N.device), second_P.to(self._labels_N.device)

    def _measure_pairs(self, lam: float) -> Iterator[Tensor]:
        """Yield the quantities of a few pairs at a time, float32 (P, 3) in the order of QUANTITIES."""
        data, model = self._classifier.data, self._classifier.model
        parts = (places_P.split(PAIRS_BATCH) for places_P in self._pairs())
        for first_P, second_P in zip(*parts, strict=True):
            labels = self._labels_N[first_P], self._labels_N[second_P]
            mixed_P = lam * data.normalised(self._inputs_N[first_P])
            mixed_P = (mixed_P + (1 - lam) * data.normalised(self._inputs_N[second_P])).requires_grad_()
            logits_PK = self._classifier.logits(model, mixed_P)
            losses = [F.cross_entropy(logits_PK, labels_P, reduction="sum") for labels_P in labels]
            loss = lam * losses[0] + (1 - lam) * losses[1]
            largest_P, predicted_P = logits_PK.max(1)
            (of_loss_P,) = torch.autograd.grad(loss, mixed_P, retain_graph=True)
            (of_logit_P,) = torch.autograd.grad(largest_P.sum(), mixed_P)
            misses_P = (predicted_P != labels[0]) & (predicted_P != labels[1])
            norms = [gradient_P.flatten(1).norm(dim=1) for gradient_P in (of_loss_P, of_logit_P)]
            yield torch.stack([misses_P.float(), *norms], dim=1).detach()
