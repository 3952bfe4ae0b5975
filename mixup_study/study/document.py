"""What a study file says, key by key: the models that it is read into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.claims import Claim, Comparison
from mixup_study.study.explain import choose_finding, explain
from mixup_study.study.names import MetricName
from mixup_study.study.source import Source
from mixup_study.study.space import Distribution

FigureKind = Literal["curves", "samples", "regions", "between", "bars"]

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class Paper(BaseModel):
    """Where in the paper the study comes from."""

    model_config = _STRICT
    section: str | None = Field(default=None, description='Section, as in "3.4".')
    table: int | None = Field(default=None, description="Number of the table reproduced.")
    figure: str | None = Field(
        default=None, description='Number of the figure reproduced by the first of figures, as in "3b".'
    )
    exact: bool = Field(
        default=True,
        description="Whether the file as it stands is what the paper ran; where it is not, its profile is full.",
    )
    protocol: str | None = Field(default=None, description="What the paper trained, in a few words for captions.")


LEAST_SHARE = 0.01
"""Of a CPU or a GPU, what a slot that holds a share of one holds at least."""


class Resources(BaseModel):
    """A slot: what one data-parallel worker holds while it trains. Never part of a trial's identity."""

    model_config = _STRICT
    cpus: float = Field(default=1, ge=LEAST_SHARE, le=1024, description="CPUs of a slot; may be a fraction.")
    gpus: float = Field(
        default=0, ge=0, le=64, description="GPUs of a slot: whole, or a share below 1; 0 trains on the CPU."
    )
    recompute: bool = Field(
        default=False,
        description="Compute activations again in the backward pass in place of keeping them: less memory, more time,"
        " the same numbers. Of networks that can: densenet_bc; others keep them.",
    )
    loaders: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Processes that read images for each worker, of data sets that are streamed; 0 reads them between"
        " its steps. They take CPUs beside those of the slot.",
    )

    @field_validator("gpus")
    @classmethod
    def _whole_or_share(cls, gpus: float) -> float:
        if 0 < gpus < LEAST_SHARE:
            raise PydanticCustomError("least", "expected 0, or a share ≥ {least}", {"least": LEAST_SHARE})
        if gpus > 1 and gpus != int(gpus):
            raise PydanticCustomError("share", "expected a whole number of GPUs, or a share of one below 1")
        return gpus

    def fitting(self, cpus: float, gpus: float) -> int:
        """Return how many slots fit a node with so many CPUs and GPUs; a share of a GPU lies on one GPU."""
        slack = 1e-6
        by_cpu = int(cpus / self.cpus + slack)
        if self.gpus == 0:
            return by_cpu
        by_gpu = int(gpus) * int(1 / self.gpus + slack) if self.gpus < 1 else int(gpus / self.gpus)
        return min(by_cpu, by_gpu)


class Column(BaseModel):
    """A column of the table."""

    model_config = _STRICT
    metric: MetricName = Field(description="Measurement shown, a fraction in percent.")
    title: str = Field(min_length=1, description="Heading of the column.")
    group: str = Field(default="", description="Heading over neighbouring columns of the same group.")
    decimals: int = Field(default=1, ge=0, le=6, description="Decimals of the number.")
    mark_lowest: bool = Field(default=False, description="Mark the lowest among the arms, over all values of across.")
    mark_highest: bool = Field(default=False, description="Mark the highest instead.")

    @model_validator(mode="after")
    def _marks_one(self) -> Column:
        if self.mark_lowest and self.mark_highest:
            raise PydanticCustomError("one_of", "expected one of mark_lowest and mark_highest")
        return self


class Pick(BaseModel):
    """Which setting of an arm the table shows where the arm has several."""

    model_config = _STRICT
    lowest: MetricName | None = Field(
        default=None, description="Measurement whose mean over seeds is lowest for the setting shown."
    )
    highest: MetricName | None = Field(
        default=None, description="Measurement whose mean over seeds is highest for the setting shown."
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Pick:
        if (self.lowest is None) is (self.highest is None):
            raise PydanticCustomError("one_of", "expected one of lowest and highest")
        return self

    @property
    def metric(self) -> str:
        """Return the measurement that decides."""
        return self.lowest or self.highest or ""


class Figure(BaseModel):
    """A figure of the study: it shows the rows of the table, and of each the setting shown there."""

    model_config = _STRICT
    kind: FigureKind = Field(
        description="curves: errors over the epochs; samples: what generators drew; regions: p(y=1) in the plane;"
        " between: misses and gradient norms over lambda; bars: the first column beside the paper's."
    )
    title: str = Field(min_length=1, description="What the figure shows.")


class Table(BaseModel):
    """The layout of the study's table."""

    model_config = _STRICT
    title: str = Field(min_length=1, description="What the table shows.")
    rows: list[str] = Field(
        strict=True, min_length=1, description="Fields (and arm) whose values make the rows, outermost first."
    )
    columns: list[Column] = Field(min_length=1, description="Measurements shown.")
    across: str | None = Field(
        default=None, description="Field, or arm, whose values stand beside each other as columns."
    )
    pick: Pick | None = Field(
        default=None, description="Which of an arm's settings is shown; without it every arm may have one only."
    )
    baseline: str | None = Field(
        default=None,
        description="Arm that the others are compared with, seed by seed: p-values of a paired t-test.",
    )
    modified: bool = Field(
        default=False, description="Tick which of input and target each arm trains on otherwise than ERM."
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the fields, and arm, whose values name one cell of the table: those of the rows and across."""
        return (*self.rows, *([self.across] if self.across else []))

    @property
    def metric(self) -> str:
        """Return the measurement that a setting is picked by, or else the first shown."""
        return self.columns[0].metric if self.pick is None else self.pick.metric


class StopOptions(BaseModel):
    """Successive halving, in the order of the proposals: which of them go on after some of their epochs."""

    model_config = _STRICT
    after: list[int] = Field(min_length=1, description="Epochs after which a proposal pauses, rising.")
    keep: float = Field(
        gt=0, lt=1, description="Part of the proposals so far that goes on: the best by what is minimised, there."
    )


class RaceOptions(BaseModel):
    """Racing the seeds of a proposal: it stops once it is significantly worse than the best that it knows."""

    model_config = _STRICT
    after: int = Field(default=4, ge=1, description="Seeds trained before the first comparison.")
    p: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="A proposal stops where the one-sided Wilcoxon signed-rank test on the seeds has a lower p-value.",
    )


def _wrap_in_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class SearchOptions(BaseModel):
    """How settings are searched for: each arm of ``space``, under each value of the grid's other fields, by itself."""

    model_config = _STRICT
    sampler: Literal["tpe", "gp", "qmc", "random"] = Field(
        default="tpe",
        description="What proposes, of Optuna: tpe, a tree-structured Parzen estimator; gp, a Gaussian process, slow"
        " beyond 500 proposals; qmc, a scrambled Sobol sequence; random.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the proposals.")
    proposals: int = Field(ge=1, le=100_000, description="Settings tried, of each search.")
    window: int = Field(
        default=12,
        ge=1,
        description="A proposal knows the results of all before it but for the last window - 1, whatever has ended:"
        " so many proposals train side by side, and the proposals depend on no timing.",
    )
    space: dict[str, dict[str, Distribution]] = Field(
        min_length=1, description="By arm, the fields that are searched and where their values come from."
    )
    first: list[dict[str, Any]] = Field(
        default_factory=list, description="Settings tried first; an arm takes those of its fields."
    )
    minimise: Annotated[list[MetricName], BeforeValidator(_wrap_in_list, json_schema_input_type=MetricName)] = Field(
        min_length=1,
        description="Measurement whose mean over the grid's seeds is to be lowest; of several, the table shows the"
        " setting that is best by the first, and the report those of which none is worse in all.",
    )
    at_most: dict[MetricName, float] = Field(
        default_factory=dict,
        description="The most that the best setting may measure of these; of a fraction, in percent.",
    )
    on_test_set: bool = Field(
        default=False, description="Allow minimise to be measured on the test set; the table marks its arms then."
    )
    stop: StopOptions | None = Field(default=None, description="Successive halving; without it all train to the end.")
    race: RaceOptions | None = Field(
        default=None, description="Train the grid's seeds one after the other; without it all at once."
    )
    warm_start: list[str] = Field(
        default_factory=list,
        alias="from",
        description="Study files, beside this one, whose trials of the same shape the sampler knows from the start.",
    )
    confirm: dict[str, list[int]] = Field(
        default_factory=dict,
        description="Values of seeds with which the best setting is trained again, on all training data; the table"
        " shows these trials. Without it the table shows the best proposal's own.",
    )

    @property
    def objective(self) -> str:
        """Return the measurement that the best setting is picked by."""
        return self.minimise[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return what decides about settings: what is minimised, then what has a bound."""
        return (*self.minimise, *self.at_most)

    @property
    def curve(self) -> str:
        """Return the column of the epochs that tells after each of them what is minimised after the last."""
        return self.objective.rpartition("_")[0]

    @property
    def pauses(self) -> Sequence[int]:
        """Return the epochs after which a proposal pauses."""
        return () if self.stop is None else self.stop.after

    @property
    def uses_test_set(self) -> bool:
        """Return whether settings are picked by what is measured on the test set."""
        return any(metric.startswith("test_") for metric in self.metrics)


class Document(BaseModel):
    """The keys of a study file and their types; arms, grid and profiles are checked when they are expanded."""

    model_config = _STRICT
    extends: str | None = None
    variables: dict[str, Any] | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    data: Annotated[str, Field(min_length=1)] | None = None
    paper: Paper | None = None
    trial: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    search: SearchOptions | None = None
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    resources: Resources = Resources()
    retries: int = Field(default=2, ge=0, le=1000)
    checkpoint_seconds: float = Field(default=60, ge=0, le=86400)
    keep_models: bool = False
    table: Table
    figures: list[Figure] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    published: list[dict[str, Any]] = Field(default_factory=list)


PROFILE_KEYS = ("variables", "trial", "grid", "models", "arms", "search", "resources")


def document_of(source: Source) -> Document:
    """Return what a study file says. Raises InputError for an unknown key, and for a value that it cannot have."""
    if isinstance(source.tree.get("profiles"), dict):
        paper = source.tree.get("paper")
        base = "paper" if isinstance(paper, dict) and paper.get("exact", True) else "full"
        if base in source.tree["profiles"]:
            raise source.error(("profiles", base), f"profile {base} is the file as it stands; expected another name")
    try:
        return Document.model_validate(source.tree)
    except ValidationError as error:
        finding = choose_finding(error)
        if finding["type"] == "extra_forbidden":
            *above, name = map(str, finding["loc"])
            if not above and name in CATALOGUE.fields:
                problem = f"a field of a trial; expected trial.{name}, grid.{name} or an arm's"
                raise source.error((name,), problem) from None
            if above == ["table"] and name in Column.model_fields:
                raise source.error(("table", name), "a key of a column; expected it in table.columns") from None
        raise explain(error, source, (), _names(error)) from None


def _names(error: ValidationError) -> Sequence[str]:
    """Return the keys that are valid where ``error`` found something."""
    at = choose_finding(error)["loc"]
    models: dict[str, type[BaseModel]] = {"paper": Paper, "resources": Resources, "table": Table}
    model: type[BaseModel] = models.get(str(at[0]), Document) if len(at) > 1 else Document
    if at[:2] == ("table", "columns"):
        model = Column
    elif at[:1] == ("figures",) and len(at) > 2:
        model = Figure
    elif at[:2] == ("table", "pick") and len(at) > 2:
        model = Pick
    elif at[:2] == ("search", "stop") and len(at) > 2:
        model = StopOptions
    elif at[:2] == ("search", "race") and len(at) > 2:
        model = RaceOptions
    elif at[:2] == ("search", "space") and len(at) > 4:
        model = Distribution
    elif at[:1] == ("search",):
        model = SearchOptions
    elif at[:1] == ("claims",) and len(at) > 2:
        model = Claim if len(at) == 3 else Comparison
    return tuple(field.alias or name for name, field in model.model_fields.items())
