"""All readers by the name that the command line knows them by."""

from data.corpora.commonvoice import read_commonvoice
from data.corpora.folder import read_folder
from data.corpora.librispeech import read_librispeech
from data.corpora.ljspeech import read_ljspeech
from data.corpora.reading import Reader
from data.corpora.vctk import read_vctk

READERS: dict[str, Reader] = {
    "librispeech": read_librispeech,
    "commonvoice": read_commonvoice,
    "ljspeech": read_ljspeech,
    "vctk": read_vctk,
    "folder": read_folder,
}
