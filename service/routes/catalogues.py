"""Lists of what this server can ask: probes, built-in and installed suites, judges."""

from fastapi import APIRouter

from holdfast.api import wire
from holdfast.errors import InvalidSuite
from holdfast.judges import JUDGES
from holdfast.probes.table import CATALOGUE
from holdfast.suites import BUILT_IN, installed_names, load_suite
from service import schemas
from service.deps import Reader, SettingsDep
from service.problems import raises

router = APIRouter(prefix="/v1", tags=["catalogues"])


@router.get("/probes", responses=raises())
def probes(_caller: Reader) -> wire.Page[wire.Probe]:
    """The catalogue; `built: false` marks what is designed and not there yet."""
    return schemas.full_page([schemas.probe(spec) for spec in CATALOGUE.values()])


@router.get("/suites", responses=raises(InvalidSuite))
def suites(_caller: Reader, settings: SettingsDep) -> wire.Page[wire.Suite]:
    """Built-in and installed suites and their digests."""
    folder = settings.installed_suites
    names = dict.fromkeys((*BUILT_IN, *installed_names(folder)))
    return schemas.full_page([schemas.suite(load_suite(name, folder)) for name in names])


@router.get("/judges", responses=raises())
def judges(_caller: Reader) -> wire.Page[wire.Judge]:
    """Judges and their digests; another digest makes two runs incomparable."""
    return schemas.full_page([schemas.judge(name, judge.sha256) for name, judge in JUDGES.items()])
