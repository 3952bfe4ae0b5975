"""Adversarial examples (section 3.5), against an independent implementation and by their definition."""

from __future__ import annotations

import pytest
import torch
import torchattack
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.data import load_labelled_set
from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment
from mixup_study.training.tasks.attack import Attack, perturb
from mixup_study.training.tasks.classifier import Classifier


class OfPixels(nn.Module):
    """A classifier of images as torchattack takes them: (N, C, H, W) in [0, 1]."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.network = classifier.model

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return self.network(self.classifier.data.normalised(255 * images_NCHW.permute(0, 2, 3, 1)))


@pytest.fixture(scope="module")
def classifier(sources: dict[str, Trial], trained: Environment) -> Classifier:
    return Classifier.trained(sources["ERM"], trained)


def loss(classifier: Classifier, images_N: Tensor) -> float:
    with torch.no_grad():
        logits = classifier.logits(classifier.model, classifier.data.normalised(images_N))
        return F.cross_entropy(logits, classifier.data.test_labels_N).item()


@pytest.mark.slow
def test_fgsm_and_i_fgsm_are_those_of_another_implementation(classifier: Classifier) -> None:
    images, labels = classifier.data.test_inputs_N[:100], classifier.data.test_labels_N[:100]
    pixels = images.permute(0, 3, 1, 2).float() / 255
    model, device = OfPixels(classifier), torch.device("cpu")
    fgsm = torchattack.FGSM(model, device=device, eps=32 / 255)(pixels, labels)
    i_fgsm = torchattack.PGD(model, device=device, eps=32 / 255, alpha=3.2 / 255, steps=10, random_start=False)(
        pixels, labels
    )
    for expected, steps in ((fgsm, 1), (i_fgsm, 10)):
        changed = perturb(classifier, images, labels, 32, steps).permute(0, 3, 1, 2) / 255
        torch.testing.assert_close(changed, expected.detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_no_pixel_moves_further_than_epsilon_nor_out_of_its_range(classifier: Classifier, steps: int) -> None:
    images, labels = classifier.data.test_inputs_N, classifier.data.test_labels_N
    changed = perturb(classifier, images, labels, 24, steps)
    assert (changed - images.float()).abs().max() <= 24
    assert changed.min() >= 0
    assert changed.max() <= 255
    moved = changed != images.float()
    assert moved.float().mean() > 0.5


def test_the_loss_rises_with_every_step_on_average(classifier: Classifier) -> None:
    images, labels = classifier.data.test_inputs_N, classifier.data.test_labels_N
    changed, losses = images, [loss(classifier, images)]
    for _ in range(5):
        changed = perturb(classifier, changed, labels, 4, 1)
        losses.append(loss(classifier, changed))
    assert losses == sorted(losses)
    assert losses[-1] > 2 * losses[0]


def test_the_white_box_misleads_more_than_the_black_box_and_more_steps_more(
    sources: dict[str, Trial], trained: Environment
) -> None:
    def measure(**fields: object) -> dict[str, float]:
        attack = Attack(Trial(task="attack", source=sources["mixup"], epsilon=32, **fields), trained)
        return {name: value or 0.0 for name, value in attack.evaluate().measurements.items()}

    white, black = measure(), measure(attacker=sources["other"])
    assert white["adversarial_error"] > black["adversarial_error"] > white["clean_error"]
    assert measure(steps=10)["adversarial_error"] >= white["adversarial_error"]
    assert white["clean_error"] == black["clean_error"]
    assert white["adversarial_top5_error"] < white["adversarial_error"]
    assert measure() == white  # nothing is drawn


def test_images_can_be_attacked_that_were_first_predicted(sources: dict[str, Trial], trained: Environment) -> None:
    load_labelled_set.cache_clear()
    classifier = Classifier.trained(sources["ERM"], trained)
    images, labels = classifier.data.test_inputs_N[:10], classifier.data.test_labels_N[:10]
    classifier.predict(images, labels)
    assert perturb(classifier, images, labels, 8, 2).shape == images.shape


def test_the_clean_errors_are_those_that_training_ended_with(sources: dict[str, Trial], trained: Environment) -> None:
    attack = Attack(Trial(task="attack", source=sources["ERM"], epsilon=1), trained)
    measured = attack.evaluate().measurements
    classifier = Classifier.trained(sources["ERM"], trained)
    predictions = classifier.predict(classifier.data.test_inputs_N, classifier.data.test_labels_N)
    assert measured["clean_error"] == (predictions.rank_N > 0).double().mean().item()
    assert measured["clean_top5_error"] == (predictions.rank_N > 4).double().mean().item()
