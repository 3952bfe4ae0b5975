"""Adversarial examples: how often a classifier errs on test images changed to mislead it (section 3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment, Measurements
from mixup_study.training.tasks import measures
from mixup_study.training.tasks.classifier import Classifier, Predictions
from mixup_study.training.tasks.evaluation import Evaluation

ATTACK_BATCH = 250
"""Images that are changed at a time."""


class Attack(Evaluation):
    """The fast gradient sign method, in one step (FGSM) or several (I-FGSM), on every test image.

    Examples are made with the model of ``attacker``, or without one with that of ``source`` itself, and shown to
    that of ``source``. Both predict in evaluation mode and float32.
    """

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data and the models."""
        self._trial = trial
        self._source = Classifier.trained(trial.source, environment)
        self._attacker = self._source if trial.attacker is None else Classifier.trained(trial.attacker, environment)

    def evaluate(self) -> Measurements:
        """Return the errors on adversarial examples, and on the images as they are."""
        data = self._source.data
        clean = self._source.predict(data.test_inputs_N, data.test_labels_N)
        parts = list(self._predict_adversarial())
        misled = Predictions(*(torch.cat(parts) for parts in zip(*parts, strict=True)))
        return Measurements(
            {
                "adversarial_error": measures.error(misled.class_N, data.test_labels_N),
                "adversarial_top5_error": measures.top5_error(misled.rank_N, data.classes),
                "clean_error": measures.error(clean.class_N, data.test_labels_N),
                "clean_top5_error": measures.top5_error(clean.rank_N, data.classes),
            }
        )

    def _predict_adversarial(self) -> Iterator[Predictions]:
        data = self._source.data

        def read(parts: Sequence[Tensor]) -> Iterator[Tensor]:
            return map(data.normalised_pixels, parts)

        parts = (tensor.split(ATTACK_BATCH) for tensor in (data.test_inputs_N, data.test_labels_N))
        for inputs_N, labels_N in zip(*parts, strict=True):
            pixels_N = data.pixels(inputs_N)
            changed_N = perturb(self._attacker, pixels_N, labels_N, self._trial.epsilon, self._trial.steps)
            yield self._source.predict(changed_N, labels_N, read)


def perturb(classifier: Classifier, images_N: Tensor, labels_N: Tensor, epsilon: float, steps: int) -> Tensor:
    """Return images that mislead a classifier, float32 in [0, 255] of the shape of ``images_N``, pixels too.

    Each step adds ``epsilon / steps`` times the sign of the gradient of the loss with the true labels to each value
    of a pixel, which stays within ``epsilon`` of what it was and within [0, 255]: before normalisation.
    """
    clean_N = images_N.float()
    changed_N = clean_N
    for _ in range(steps):
        changed_N = changed_N.detach().requires_grad_()
        logits_NK = classifier.logits(classifier.model, classifier.data.normalised_pixels(changed_N))
        loss = F.cross_entropy(logits_NK, labels_N, reduction="sum")
        (gradient_N,) = torch.autograd.grad(loss, changed_N)
        moved_N = changed_N.detach() + (epsilon / steps) * gradient_N.sign()
        changed_N = moved_N.clamp(clean_N - epsilon, clean_N + epsilon).clamp(0, 255)
    return changed_N
