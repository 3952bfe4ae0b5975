from mixup_study.api import RunSummary as RunSummary
from mixup_study.api import Study as Study
from mixup_study.api import epochs as epochs
from mixup_study.api import load as load
from mixup_study.api import model as model
from mixup_study.api import run as run
from mixup_study.api import table as table
from mixup_study.api import trials as trials
from mixup_study.errors import InputError as InputError

__version__: str
