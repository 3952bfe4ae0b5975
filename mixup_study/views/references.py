"""Papers and software that studies cite, as BibTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """An entry of a bibliography."""

    key: str
    name: str
    """Authors and year, as a text cites it: ``Zhang et al., 2018``."""
    bibtex: str


def _entry(kind: str, key: str, name: str, **fields: str) -> Reference:
    lines = "".join(f"  {field} = {{{value}}},\n" for field, value in fields.items())
    return Reference(key, name, f"@{kind}{{{key},\n{lines}}}")


def cite_software(versions: Sequence[str]) -> Reference:
    """Return the entry of this package, in the versions that trained."""
    note = {"note": f"Version {', '.join(versions)}"} if versions else {}
    return _entry(
        "misc",
        "mixup_study",
        "the mixup_study developers",
        author="{The mixup\\_study developers}",
        title="{mixup\\_study}: hyper-parameter studies on {Ray} that reproduce the mixup paper",
        **note,
    )


REFERENCES = {
    reference.key: reference
    for reference in (
        _entry(
            "inproceedings",
            "zhang2018mixup",
            "Zhang et al., 2018",
            author="Zhang, Hongyi and Cisse, Moustapha and Dauphin, Yann N. and Lopez-Paz, David",
            title="mixup: Beyond Empirical Risk Minimization",
            booktitle="International Conference on Learning Representations",
            year="2018",
            url="https://openreview.net/forum?id=r1Ddp1-Rb",
        ),
        _entry(
            "inproceedings",
            "paszke2019pytorch",
            "Paszke et al., 2019",
            author="Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and others",
            title="{PyTorch}: An Imperative Style, High-Performance Deep Learning Library",
            booktitle="Advances in Neural Information Processing Systems",
            volume="32",
            year="2019",
        ),
        _entry(
            "inproceedings",
            "moritz2018ray",
            "Moritz et al., 2018",
            author="Moritz, Philipp and Nishihara, Robert and Wang, Stephanie and Tumanov, Alexey and others",
            title="{Ray}: A Distributed Framework for Emerging {AI} Applications",
            booktitle="13th USENIX Symposium on Operating Systems Design and Implementation",
            pages="561--577",
            year="2018",
        ),
        _entry(
            "article",
            "liaw2018tune",
            "Liaw et al., 2018",
            author="Liaw, Richard and Liang, Eric and Nishihara, Robert and Moritz, Philipp and others",
            title="{Tune}: A Research Platform for Distributed Model Selection and Training",
            journal="arXiv preprint arXiv:1807.05118",
            year="2018",
        ),
        _entry(
            "inproceedings",
            "akiba2019optuna",
            "Akiba et al., 2019",
            author="Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and Koyama, Masanori",
            title="{Optuna}: A Next-generation Hyperparameter Optimization Framework",
            booktitle="Proceedings of the 25th {ACM} {SIGKDD} International Conference on Knowledge Discovery and"
            " Data Mining",
            pages="2623--2631",
            year="2019",
        ),
        _entry(
            "article",
            "nadeau2003inference",
            "Nadeau and Bengio, 2003",
            author="Nadeau, Claude and Bengio, Yoshua",
            title="Inference for the Generalization Error",
            journal="Machine Learning",
            volume="52",
            pages="239--281",
            year="2003",
        ),
    )
}
"""By their key."""
