"""OctMNIST: 97,477 training, 10,832 validation and 1,000 test images of retinas (OCT), 28x28, 4 classes.

Yang et al. 2023, MedMNIST v2, doi:10.1038/s41597-022-01721-8, CC BY 4.0. One file, octmnist.npz; the splits are its
own. This is the file that the package medmnist downloads; the package itself is not needed to read it.
"""

from __future__ import annotations

from pathlib import Path

from edgebench.errors import BadFile, UserError
from edgebench.files.download import NotFetched, fetch, one_line
from edgebench.networks import data
from edgebench.networks.data._torchvision import require_md5
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")
MD5 = "c68d92d5b585d8d81f7112f81e2d0842"
ADDRESS = "https://zenodo.org/records/10519652/files/octmnist.npz"


def load() -> data.Dataset:
    import zipfile

    import numpy as np

    path = data.folder() / "octmnist.npz"
    if not path.is_file():
        _download(path)
    require_md5(path, MD5)
    try:
        with np.load(path, allow_pickle=False) as stored:
            train, validation, test = (
                data.Split(stored[f"{part}_images"][..., None], stored[f"{part}_labels"].reshape(-1).astype(np.int64))
                for part in ("train", "val", "test")
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BadFile(str(path), f"it cannot be read ({error})", "Delete it and try again") from error
    return data.Dataset(
        name="octmnist",
        train=train,
        validation=validation,
        test=test,
        class_names=CLASS_NAMES,
        # Not the images' own mean: what MedMNIST's authors and the study that trains on it use.
        preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)),
        flip=True,  # a mirrored left eye looks like a right one
        licence="CC BY 4.0; cite Yang et al. 2023, MedMNIST v2",
    )


def _download(path: Path) -> None:
    try:
        fetch([ADDRESS], path, MD5)
    except (NotFetched, OSError) as error:
        raise UserError(
            "data set octmnist",
            f"octmnist.npz is not in {path.parent} and could not be downloaded ({one_line(error)})",
            f"Try again (the download resumes), copy octmnist.npz from {ADDRESS} into {path.parent}, or name "
            "another folder in EDGEBENCH_DATA",
        ) from error
