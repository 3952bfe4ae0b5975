"""Figures drawn from Parquet: what stands on them, in files that a program can read."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from pyarrow import fs

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import table_rows
from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.figures import main
from mixup_study.store.place import StorageError
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial
from mixup_study.views.figures import draw_figure, write_figures
from mixup_study.views.figures.print_style import line_style, text_width, wrap_text
from mixup_study.views.style import COLOURS, DARK, LIGHT
from tests.analysis.test_findings import SEVERAL_TASKS
from tests.commands import call_command
from tests.fixtures import PROVENANCE

STUDIES = Path(__file__).parents[2] / "studies"

NOISY = """\
name: noisy
trial: {dataset: digits, model: mlp, width: 8, epochs: 12, batch_size: 50, lr: 0.1}
grid: {label_noise: [0.2, 0.8], seed: [0, 1]}
arms:
  ERM: {}
  $mixup_1$: {method: mixup, alpha: [2, 8]}
table:
  title: A table
  rows: [label_noise, arm]
  columns: [{title: last, metric: test_error_last, mark_lowest: true}]
  pick: {lowest: test_error_last}
figures: [{kind: curves, title: Errors over the epochs}]
published: [{label_noise: 0.2, arm: ERM, test_error_last: 16.6}]
"""
PLANE = """\
name: plane
paper: {figure: 1b}
trial: {model: mlp, width: 8, epochs: 3, batch_size: 50, optimizer: adam, lr: 0.1}
grid: {dataset: [two_moons, circles], seed: [3, 4]}
arms: {ERM: {}, mixup: {method: mixup, alpha: 1}}
table:
  title: A table
  rows: [dataset]
  across: arm
  columns: [{title: last, metric: test_error_last}]
figures: [{kind: regions, title: What classifiers think of the plane}]
"""
GAN = """\
name: gan
paper: {figure: "5"}
trial: {task: gan, model: mlp, width: 8, depth: 3, epochs: 4, batch_size: 8, optimizer: adam, lr: 0.1}
grid: {dataset: [gaussian_ring, gaussian_grid], seed: [0, 1]}
arms: {ERM: {}, mixup: {method: mixup, alpha: 0.2}}
table:
  title: A table
  rows: [dataset, arm]
  columns: [{title: modes, metric: modes_covered_last}]
figures:
  - {kind: samples, title: What generators draw}
  - {kind: curves, title: Modes over the epochs}
"""
BETWEEN = """\
name: between
paper: {figure: "2"}
trial: {task: between, dataset: digits, model: mlp, width: 8, epochs: 3, batch_size: 50, lr: 0.1, lambdas: 5}
grid: {seed: [0, 1]}
models: {ERM: {}, mixup: {method: mixup, alpha: 1}}
arms: {ERM: {source: ERM}, mixup: {source: mixup}}
table:
  title: A table
  rows: [arm]
  columns: [{title: misses, metric: misses_mean}]
figures: [{kind: between, title: In between}]
"""
BARS = NOISY.replace("kind: curves", "kind: bars").replace("name: noisy", "name: bars")
ITERATIONS = (10, 100, 20000)
LAMBDAS = np.linspace(0, 1, 5)

Loader = Callable[..., Study]
Writer = Callable[..., ResultStore]


def epochs_of(trial: Trial) -> list[dict[str, Any]]:
    """Return rows in which the error falls with the epochs and modes rise, higher for higher seeds and alphas."""
    if trial.needs:
        return []
    start = 0.5 + 0.1 * trial.seed + (trial.alpha or 0) / 100
    measured = "test_error" if trial.task == "classification" else "modes_covered"
    scale = (lambda epoch: start / epoch) if trial.task == "classification" else (lambda epoch: epoch + trial.seed)
    return [{"epoch": n, "lr": 0.1, "seconds": 1.0, measured: scale(n)} for n in range(1, trial.epochs + 1)]


def points_of(trial: Trial) -> Mapping[str, np.ndarray]:
    generator = np.random.default_rng(trial.seed)
    if trial.task == "gan":
        parts = [generator.uniform(-1, 1, (50, 2)), *(generator.normal(0, 2, (50, 2)) for _ in ITERATIONS)]
        points = np.concatenate(parts)
        iterations = [None] * 50 + [iteration for iteration in ITERATIONS for _ in range(50)]
        kinds = np.array(["data"] * 50 + ["sample"] * (len(points) - 50))
        return {"kind": kinds, "iteration": np.array(iterations, object), "x": points[:, 0], "y": points[:, 1]}
    if trial.task == "between":
        means = np.concatenate([(0.1 * number + 0.2 * trial.seed) * LAMBDAS for number in (1, 2, 3)])
        kinds = np.array(["misses", "loss_gradient_norm", "logit_gradient_norm"]).repeat(5)
        return {"kind": kinds, "x": np.tile(LAMBDAS, 3), "y": means, "value": np.full(15, 0.05)}
    if trial.model != "mlp" or trial.dataset == "digits":
        return {}
    axis = np.linspace(-2, 2, 20)
    grid = np.array([(x, y) for x in axis for y in 0.5 * axis])
    points = generator.uniform(-1, 1, (40, 2))
    values = np.concatenate([points[:, 0] > 0, 1 / (1 + np.exp(-3 * grid[:, 0]))])
    x, y = np.concatenate([points, grid]).T
    return {"kind": np.array(["training"] * 40 + ["probability"] * len(grid)), "x": x, "y": y, "value": values}


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Writes the records of the trials of a study that a test chooses, and returns the store."""

    def store_of(study: Study, chosen: Callable[[Trial], bool] = lambda trial: True, at: str = "") -> ResultStore:
        store = ResultStore(at or str(tmp_path / "results"))
        for trial in filter(chosen, study.trials.values()):
            rows = epochs_of(trial)
            last = rows[-1].get("test_error", rows[-1].get("modes_covered")) if rows else 0.25
            measurements = dict.fromkeys(CATALOGUE.tasks[trial.task].metric_names, last)
            store.write(TrialRecord(trial, "done", PROVENANCE, 1.0, measurements, rows, points_of(trial)))
        return store

    return store_of


def findings_of(store: ResultStore, study: Study) -> Findings:
    return Findings.read(study, store, "for a test")


def svg_of(store: ResultStore, study: Study, number: int = 0) -> str:
    """Return the SVG of a figure of the study."""
    paths = write_figures(findings_of(store, study))
    return Path(paths[2 * number + 1]).read_text(encoding="utf-8")


def texts_of(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def lightness(colour: str) -> float:
    """Return CIE L*, 0 for black and 100 for white: what a grey printer shows of a colour."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


# What stands on them.


def test_curves_show_the_settings_of_the_table_by_condition(load: Loader, written: Writer) -> None:
    study = load(NOISY)
    texts = texts_of(svg_of(written(study), study))
    assert texts.count("label noise 20%") == texts.count("label noise 80%") == 1
    assert texts.count("test error (%)") == 1  # panels share the axis
    assert texts.count("epoch") == 2
    assert texts.count("ERM") == texts.count("$mixup_1$ (α=2)") == 1  # one key, since the panels' are the same
    caption = " ".join(texts)
    assert "Errors over the epochs" in texts
    assert "Profile full (for a test): data set digits" in caption
    assert "12 of 12 trials done. Lines are means over the seeds, bands one standard deviation." in caption
    assert "the setting with the lowest test_error_last" in caption
    for of_the_table in ("marked", "brackets", "Errors in percent"):
        assert of_the_table not in caption


def test_curves_are_means_and_deviations_over_the_seeds(load: Loader, written: Writer) -> None:
    study = load(NOISY)
    store = written(study)
    drawn = draw_figure(findings_of(store, study), study.figures[0])
    axes = drawn.axes[0]
    erm, mixup = axes.get_lines()
    epochs = np.arange(1, 13)
    assert np.allclose(erm.get_xdata(), epochs)
    assert np.allclose(erm.get_ydata(), 100 * 0.55 / epochs)
    assert np.allclose(mixup.get_ydata(), 100 * 0.57 / epochs)
    band = axes.collections[0].get_paths()[0].vertices
    deviation = 10 / 2**0.5
    assert band[:, 1].max() == pytest.approx(55 + deviation)
    assert axes.get_ylim() == drawn.axes[1].get_ylim()


def test_a_setting_that_differs_between_panels_stands_below_each(load: Loader, written: Writer) -> None:
    study = load(NOISY)
    store = written(study, lambda trial: trial.alpha != (2 if trial.label_noise == 0.8 else 8))
    texts = texts_of(svg_of(store, study))
    assert texts.count("ERM") == 2
    assert texts.count("$mixup_1$ (α=2)") == texts.count("$mixup_1$ (α=8)") == 1


def test_curves_of_a_gan_are_its_modes(load: Loader, written: Writer) -> None:
    study = load(GAN)
    store = written(study)
    texts = texts_of(svg_of(store, study, 1))
    assert {"modes covered", "epoch (100 generator steps)", "dataset gaussian_ring"} <= set(texts)
    assert "Modes over the epochs" in texts  # only the first figure is the paper's
    drawn = draw_figure(findings_of(store, study), study.figures[1])
    assert np.allclose(drawn.axes[0].get_lines()[0].get_ydata(), np.arange(1, 5) + 0.5)


def test_curves_of_several_tasks_stand_below_each_other(load: Loader, written: Writer) -> None:
    study = load(SEVERAL_TASKS)
    drawing = draw_figure(findings_of(written(study), study), study.figures[0])
    errors, modes = drawing.axes
    assert (errors.get_ylabel(), errors.get_xlabel()) == ("test error (%)", "epoch")
    assert (modes.get_ylabel(), modes.get_xlabel()) == ("modes covered", "epoch (100 generator steps)")
    assert modes.get_position().y1 < errors.get_position().y0
    assert errors.get_lines()[0].get_color() == COLOURS[0]
    assert modes.get_lines()[0].get_color() == COLOURS[1]  # an arm looks the same in every panel


def test_samples_have_a_row_per_arm_and_a_column_per_iteration(load: Loader, written: Writer) -> None:
    study = load(GAN)
    store = written(study, lambda trial: trial.seed == 1 or trial.dataset == "gaussian_ring")
    texts = texts_of(svg_of(store, study))
    assert {"Figure 5: What generators draw", "x₁", "x₂", "data", "generator samples"} <= set(texts)
    for iteration in ("10", "100", "20,000"):
        assert texts.count(f"iteration {iteration}") == 2
    for label in ("ERM", "mixup"):
        assert texts.count(label) == 2
    caption = " ".join(texts)
    assert "Profile paper (for a test)" in caption
    assert "the first finished seed of each (gaussian_ring, ERM: 0; gaussian_ring, mixup: 0; gaussian_grid," in caption
    assert "% of a panel's samples lie outside of it." in caption
    drawn = draw_figure(findings_of(store, study), study.figures[0])
    data, samples = drawn.axes[1].get_lines()
    kept = points_of(next(iter(study.trials.values())))
    assert np.allclose(data.get_xdata(), kept["x"][:50])
    assert np.allclose(samples.get_ydata(), kept["y"][100:150])


def test_regions_have_a_panel_per_arm_and_data_set(load: Loader, written: Writer) -> None:
    study = load(PLANE)
    store = written(study)
    texts = texts_of(svg_of(store, study))
    wanted = {"Figure 1b: What classifiers think of the plane", "x₁ (standardised)", "x₂ (standardised)", "p(y=1)"}
    assert wanted | {"ERM", "mixup", "dataset two_moons", "dataset circles"} <= set(texts)
    assert "Shown are the trials of seed 3." in " ".join(texts)
    drawn = draw_figure(findings_of(store, study), study.figures[0])
    panel = drawn.axes[0]
    (image,) = panel.get_images()
    p = np.asarray(image.get_array())
    assert p.shape == (20, 20)
    assert np.allclose(p[0], 1 / (1 + np.exp(-3 * np.linspace(-2, 2, 20))))  # it rises along x, in every row
    assert np.allclose(p, p[0])
    assert np.allclose(image.get_extent(), np.array([-2, 2, -1, 1]) * 20 / 19)
    first, second = panel.get_lines()
    assert len(first.get_xdata()) + len(second.get_xdata()) == 40
    assert max(first.get_xdata()) <= 0 < min(second.get_xdata())


def test_what_lies_between_has_a_panel_per_quantity_and_bands_over_the_seeds(load: Loader, written: Writer) -> None:
    study = load(BETWEEN)
    store = written(study)
    drawn = draw_figure(findings_of(store, study), study.figures[0])
    assert [axes.get_ylabel() for axes in drawn.axes] == [
        "misses (%)",
        "gradient norm of the loss",
        "gradient norm of the largest logit",
    ]
    misses, loss, _ = drawn.axes
    erm = misses.get_lines()[0]
    assert np.allclose(erm.get_xdata(), LAMBDAS)
    assert np.allclose(erm.get_ydata(), 100 * (0.1 + 0.2 * 0.5) * LAMBDAS)  # the mean of seeds 0 and 1, in percent
    assert np.allclose(loss.get_lines()[1].get_ydata(), (0.2 + 0.2 * 0.5) * LAMBDAS)
    top = max(path[1] for path in misses.collections[0].get_paths()[0].vertices)
    assert top == pytest.approx(100 * (0.2 + 0.2 / 2**0.5))
    texts = texts_of(svg_of(store, study))
    assert {"Figure 2: In between", "ERM", "mixup", "λ"} <= set(texts)
    assert "bands one standard deviation" in " ".join(texts)


def test_of_one_seed_the_bands_are_standard_errors(load: Loader, written: Writer) -> None:
    study = load(BETWEEN, "grid.seed=0")
    store = written(study)
    misses = draw_figure(findings_of(store, study), study.figures[0]).axes[0]
    assert max(path[1] for path in misses.collections[0].get_paths()[0].vertices) == pytest.approx(100 * (0.1 + 0.05))
    assert "Bands of one seed are standard errors over the pairs." in " ".join(texts_of(svg_of(store, study)))


def test_bars_are_means_beside_the_papers_numbers(load: Loader, written: Writer) -> None:
    study = load(BARS)
    store = written(study)
    findings = findings_of(store, study)
    (axes,) = draw_figure(findings, study.figures[0]).axes
    assert [bar.get_height() for bar in axes.patches] == [
        pytest.approx(100 * row.measured[0].mean) for row in findings.rows if row.measured[0] is not None
    ]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["label noise 20%", "label noise 80%"]
    (paper,) = (line for line in axes.get_lines() if line.get_marker() == "D")
    assert paper.get_ydata() == [16.6]
    assert paper.get_markerfacecolor() == "white"
    texts = texts_of(svg_of(store, study))
    assert {"the paper's number", "ERM"} <= set(texts)
    assert "Diamonds are the paper's own numbers, which is not what was run here." in " ".join(texts)
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize(("text", "panels"), [(NOISY, 2), (PLANE, 2), (GAN, 6)], ids=["curves", "regions", "samples"])
def test_an_arm_that_is_missing_says_so(text: str, panels: int, load: Loader, written: Writer) -> None:
    study = load(text)
    texts = texts_of(svg_of(written(study, lambda trial: trial.method == "erm"), study))
    assert sum("not run yet" in found for found in texts) == (1 if text == NOISY else panels)
    assert "ERM" in texts


@pytest.mark.parametrize("text", [BETWEEN, BARS], ids=["between", "bars"])
def test_figures_of_nothing_say_so(text: str, load: Loader, written: Writer) -> None:
    study = load(text)
    texts = texts_of(svg_of(written(study, lambda trial: False), study))
    assert [found.strip() for found in texts].count("not run yet") == (3 if text == BETWEEN else 4)


@pytest.mark.parametrize("text", [NOISY, PLANE, GAN], ids=["curves", "regions", "samples"])
def test_without_results_every_panel_says_so(text: str, load: Loader, written: Writer) -> None:
    study = load(text)
    texts = texts_of(svg_of(written(study, lambda trial: False), study))
    assert texts.count("not run yet") == (2 if text == NOISY else 4)
    assert "; 0 of " in " ".join(texts)


def test_what_failed_or_kept_nothing_says_so(load: Loader, store: ResultStore) -> None:
    study = load(PLANE)
    for trial in study.trials.values():
        if trial.method == "erm":
            store.write(TrialRecord(trial, "failed", PROVENANCE, 1.0, error="RuntimeError: diverged"))
        else:
            store.write(
                TrialRecord(
                    trial,
                    "done",
                    PROVENANCE,
                    1.0,
                    dict.fromkeys(CATALOGUE.tasks[trial.task].metric_names, 0.5),
                    epochs_of(trial),
                )
            )
    texts = texts_of(svg_of(store, study))
    assert texts.count("failed") == texts.count("no points kept") == 2


def test_a_row_of_the_table_names_the_trials_it_shows(load: Loader, written: Writer) -> None:
    study = load(NOISY)
    store = written(study, lambda trial: (trial.seed, trial.alpha) != (0, 2))
    rows = findings_of(store, study).rows
    for row in rows:
        of_arm = [cell.trial for cell in study.cells if cell.arm == row.keys["arm"]]
        shown = [trial for trial in of_arm if trial.label_noise == row.keys["label_noise"] and trial.alpha != 2]
        assert row.trials == tuple(trial.trial_id for trial in shown)
        assert [trial.seed for trial in shown] == [0, 1]
    assert all(row.trials == () for row in table_rows(study, {}))


# The files.


@pytest.mark.parametrize(
    "text", [NOISY, PLANE, GAN, BETWEEN, BARS], ids=["curves", "regions", "samples", "between", "bars"]
)
def test_the_same_results_give_the_same_bytes(text: str, load: Loader, written: Writer, tmp_path: Path) -> None:
    study = load(text)
    store = written(study)
    before = dict(matplotlib.rcParams)
    found = []
    for attempt in ("one", "two"):
        paths = write_figures(findings_of(store, study), str(tmp_path / attempt))
        found.append({Path(path).name: Path(path).read_bytes() for path in paths})
        matplotlib.rcParams["axes.facecolor"] = "red"  # a user's own style
    matplotlib.rcParams["axes.facecolor"] = before["axes.facecolor"]
    assert dict(matplotlib.rcParams) == before
    assert found[0] == found[1]
    kinds = [figure.kind for figure in study.figures]
    assert sorted(found[0]) == sorted(f"{study.name}_{kind}.{format}" for kind in kinds for format in ("png", "svg"))
    for name, content in found[0].items():
        assert len(content) < 400_000
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", content[16:24])
            assert 800 < width < 2000
            assert 300 < height < 2000
        else:
            assert b"<dc:date>" not in content


@pytest.mark.slow
def test_a_page_holds_the_arms_of_table_5(load: Loader, written: Writer) -> None:
    text = (STUDIES / "ablation.yaml").read_text(encoding="utf-8")
    study = load(f"{text}\nfigures: [{{kind: curves, title: All of them}}]\n", profile="quick")
    store = written(study, lambda trial: trial.seed < 2)
    drawn = draw_figure(findings_of(store, study), study.figures[0])
    assert [len(axes.get_lines()) for axes in drawn.axes] == [22, 22]
    drawn.savefig(io.BytesIO(), format="png")
    page = drawn.bbox
    boxes = [text.get_window_extent() for text in drawn.texts]
    assert len(boxes) > 22
    for box in boxes:
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
    for one, other in itertools.combinations(boxes, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert wide <= 0 or high <= 3  # the letters of two lines may touch, nothing overlaps


# Grey printers.


def test_lines_are_told_apart_without_their_colours() -> None:
    looks = [line_style(index) for index in range(22)]
    assert len({(look["linestyle"], look["marker"]) for look in looks}) == 22
    assert len({(look["color"], look["linestyle"]) for look in looks}) == 22
    for one, other in itertools.combinations(COLOURS[:4], 2):
        assert abs(lightness(one) - lightness(other)) > 15
    assert lightness(LIGHT) - lightness(DARK) > 30
    assert max(map(lightness, COLOURS)) < 80  # on white


# Type.


@pytest.mark.parametrize("text", ["a few words of a caption", "x" * 200, "a " + "long" * 50 + " word", "", "α=∞ ≥"])
def test_lines_of_type_are_no_wider_than_they_may(text: str) -> None:
    lines = wrap_text(text, 1.0, 8.0)
    assert all(text_width(line, 8.0) <= 1.0 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


# The command.


@pytest.fixture
def plane_study(tmp_path: Path) -> Path:
    path = tmp_path / "plane.yaml"
    path.write_text(PLANE, encoding="utf-8")
    return path


def test_the_command_draws_into_the_results(
    plane_study: Path, written: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(StudyFile(plane_study).load("paper"))
    assert main([str(plane_study), "--results", str(tmp_path / "results")]) == 0
    printed = capsys.readouterr().out.splitlines()
    folder = tmp_path / "results" / "figures"
    assert printed == [str(folder / "plane_regions.png"), str(folder / "plane_regions.svg")]
    assert sorted(path.name for path in folder.iterdir()) == ["plane_regions.png", "plane_regions.svg"]
    assert "Profile paper (what the results hold)" in " ".join(texts_of((folder / "plane_regions.svg").read_text()))


def test_the_command_draws_elsewhere_under_overrides(
    plane_study: Path, written: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(StudyFile(plane_study).load("paper"))
    out = tmp_path / "out"
    arguments = ["--results", str(tmp_path / "results"), "--out", str(out), "--set", "grid.dataset=two_moons"]
    assert main([str(plane_study), *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(out / "plane_regions.png")
    texts = texts_of((out / "plane_regions.svg").read_text(encoding="utf-8"))
    assert "dataset circles" not in texts
    assert "--set: grid.dataset=two_moons." in " ".join(texts)
    assert not (tmp_path / "results" / "figures").exists()


def test_a_study_without_figures_is_one_line(tiny_study: Path, tmp_path: Path) -> None:
    ended = call_command("figures", tiny_study, "--results", tmp_path / "results")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {tiny_study}: lists no figures, and no trial has curves yet; expected ")


def test_a_study_without_figures_is_drawn_as_its_curves(
    tiny_study: Path, written: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = StudyFile(tiny_study).load("full")
    assert not study.figures
    written(study)
    assert main([str(tiny_study), "--results", str(tmp_path / "results")]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["tiny_curves.png", "tiny_curves.svg"]
    assert "Learning curves" in texts_of((tmp_path / "results/figures/tiny_curves.svg").read_text(encoding="utf-8"))


def test_a_place_that_cannot_be_written_is_one_line(plane_study: Path, tmp_path: Path) -> None:
    ended = call_command("figures", plane_study, "--results", tmp_path / "results", "--out", plane_study / "below")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: --out {plane_study}/below: cannot be written to: ")


def test_figures_lead_nowhere_out_of_the_results(plane_study: Path, written: Writer, tmp_path: Path) -> None:
    study = StudyFile(plane_study).load("paper")
    store = written(study, lambda trial: trial.method == "erm")
    (tmp_path / "others").mkdir()
    (tmp_path / "results" / "figures").symlink_to(tmp_path / "others")
    with pytest.raises(StorageError, match="a symbolic link leads out of the results"):
        write_figures(findings_of(store, study))
    assert not list((tmp_path / "others").iterdir())


@pytest.mark.slow
def test_figures_go_to_the_bucket_of_the_results(
    bucket: str, plane_study: Path, written: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    written(StudyFile(plane_study).load("paper"), lambda trial: trial.method == "erm", at=bucket)
    assert main([str(plane_study), "--results", bucket]) == 0
    printed = capsys.readouterr().out.splitlines()
    names = ["plane_regions.png", "plane_regions.svg"]
    shown = bucket.partition("?")[0].replace("key:secret", "…")
    assert printed == [f"{shown}/figures/{name}" for name in names]
    system, root = fs.FileSystem.from_uri(bucket)
    found = system.get_file_info(fs.FileSelector(f"{root}/figures"))
    assert sorted(info.base_name for info in found) == names
    assert main([str(plane_study), "--results", bucket, "--out", bucket.replace("/results?", "/elsewhere?")]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{shown[:-7]}elsewhere/{name}" for name in names]


def test_a_url_of_no_file_system_is_bad_input(plane_study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--out foo://bar: "):
        main([str(plane_study), "--results", str(tmp_path), "--out", "foo://bar"])
