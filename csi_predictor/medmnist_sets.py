"""The published MedMNIST sets: their labels, counts and files, one row a set.

Source of every value: `medmnist/info.py` of the package medmnist 3.0.2 (Yang et al. 2023,
doi:10.1038/s41597-022-01721-8; files: doi:10.5281/zenodo.10519652).
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from csi_predictor.errors import ConfigError
from csi_predictor.specs import Task

PublishedTask = Literal[
    "multi-class", "binary-class", "multi-label, binary-class", "ordinal-regression"
]

_SIZES = {2: (28, 64, 128, 224), 3: (28, 64)}
_RECORD = "https://zenodo.org/records/10519652/files"


@dataclass(frozen=True, kw_only=True)
class MedMnistFacts:
    """What is published of one set.

    Attributes:
        flag: Its name in file names and in the INI.
        published_task: The publisher's word.
        labels: Names of the labels or classes, in the order of their numbers.
        channels: 1 grey, 3 colour.
        dimensions: 2 for pictures, 3 for volumes.
        num_images: Of train, val and test.
        md5: Of the file of each size, in the order of `sizes`.
    """

    flag: str
    published_task: PublishedTask
    labels: tuple[str, ...]
    channels: int
    dimensions: int
    num_images: tuple[int, int, int]
    md5: tuple[str, ...]

    @property
    def task(self) -> Task:
        """`multilabel` or `multiclass`: two classes and ordered ones are classes here.

        The publisher's evaluation takes them so too: the highest probability is the class called.
        """
        return "multilabel" if self.published_task.startswith("multi-label") else "multiclass"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Edges of the published pictures or volumes, pixels or voxels."""
        return _SIZES[self.dimensions]

    def file_name(self, size: int) -> str:
        """The published name of the file of a size, which the 28's doesn't say."""
        return f"{self.flag}.npz" if size == 28 else f"{self.flag}_{size}.npz"

    def address(self, size: int) -> str:
        """Where the file of a size is published."""
        return f"{_RECORD}/{self.file_name(size)}?download=1"

    def published_md5(self, size: int) -> str:
        """MD5 of the published file of a size, hexadecimal."""
        return self.md5[self.sizes.index(size)]


def find_medmnist_set(flag: str) -> MedMnistFacts:
    """What is published of a set, by its name in any case.

    Raises:
        ConfigError: There is no such set; the message lists all.
    """
    facts = MEDMNIST_SETS.get(flag.lower())
    if facts is None:
        near = get_close_matches(flag.lower(), MEDMNIST_SETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"[DATA] MEDMNIST_FLAG = {flag}: expected one of {', '.join(MEDMNIST_SETS)}{hint}"
        )
    return facts


_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)

MEDMNIST_SETS: dict[str, MedMnistFacts] = {
    "pathmnist": MedMnistFacts(
        flag="pathmnist",
        published_task="multi-class",
        labels=(
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        channels=3,
        dimensions=2,
        num_images=(89996, 10004, 7180),
        md5=(
            "a8b06965200029087d5bd730944a56c1",
            "55aa9c1e0525abe5a6b9d8343a507616",
            "ac42d08fb904d92c244187169d1fd1d9",
            "2c51a510bcdc9cf8ddb2af93af1eadec",
        ),
    ),
    "chestmnist": MedMnistFacts(
        flag="chestmnist",
        published_task="multi-label, binary-class",
        labels=(
            "atelectasis",
            "cardiomegaly",
            "effusion",
            "infiltration",
            "mass",
            "nodule",
            "pneumonia",
            "pneumothorax",
            "consolidation",
            "edema",
            "emphysema",
            "fibrosis",
            "pleural",
            "hernia",
        ),
        channels=1,
        dimensions=2,
        num_images=(78468, 11219, 22433),
        md5=(
            "02c8a6516a18b556561a56cbdd36c4a8",
            "9de6cd0b934ebb5b7426cfba5efbae16",
            "db107e5590b27930b62dbaf558aebee3",
            "45bd33e6f06c3e8cdb481c74a89152aa",
        ),
    ),
    "dermamnist": MedMnistFacts(
        flag="dermamnist",
        published_task="multi-class",
        labels=(
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        channels=3,
        dimensions=2,
        num_images=(7007, 1003, 2005),
        md5=(
            "0744692d530f8e62ec473284d019b0c7",
            "b70a2f5635c6199aeaa28c31d7202e1f",
            "2defd784463fa5243564e855ed717de1",
            "8974907d8e169bef5f5b96bc506ae45d",
        ),
    ),
    "octmnist": MedMnistFacts(
        flag="octmnist",
        published_task="multi-class",
        labels=("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        channels=1,
        dimensions=2,
        num_images=(97477, 10832, 1000),
        md5=(
            "c68d92d5b585d8d81f7112f81e2d0842",
            "e229e9440236b774d9f0dfef9d07bdaf",
            "0a97e76651ace45c5d943ee3f65b63ae",
            "abc493b6d529d5de7569faaef2773ba3",
        ),
    ),
    "pneumoniamnist": MedMnistFacts(
        flag="pneumoniamnist",
        published_task="binary-class",
        labels=("normal", "pneumonia"),
        channels=1,
        dimensions=2,
        num_images=(4708, 524, 624),
        md5=(
            "28209eda62fecd6e6a2d98b1501bb15f",
            "8f4eceb4ccffa70c672198ea285246c6",
            "05b46931834c231683c68f40c47b2971",
            "d6a3c71de1b945ea11211b03746c1fe1",
        ),
    ),
    "retinamnist": MedMnistFacts(
        flag="retinamnist",
        published_task="ordinal-regression",
        labels=("0", "1", "2", "3", "4"),
        channels=3,
        dimensions=2,
        num_images=(1080, 120, 400),
        md5=(
            "bd4c0672f1bba3e3a89f0e4e876791e4",
            "afda852cc34dcda56f86ad2b2457dbcc",
            "e48e916a24454daf90583d4e6efb1a18",
            "eae7e3b6f3fcbda4ae613ebdcbe35348",
        ),
    ),
    "breastmnist": MedMnistFacts(
        flag="breastmnist",
        published_task="binary-class",
        labels=("malignant", "normal, benign"),
        channels=1,
        dimensions=2,
        num_images=(546, 78, 156),
        md5=(
            "750601b1f35ba3300ea97c75c52ff8f6",
            "742edef2a1fd1524b2efff4bd7ba9364",
            "363e4b3f8d712e9b5de15470a2aaadf1",
            "b56378a6eefa9fed602bb16d192d4c8b",
        ),
    ),
    "bloodmnist": MedMnistFacts(
        flag="bloodmnist",
        published_task="multi-class",
        labels=(
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        channels=3,
        dimensions=2,
        num_images=(11959, 1712, 3421),
        md5=(
            "7053d0359d879ad8a5505303e11de1dc",
            "2b94928a2ae4916078ca51e05b6b800b",
            "adace1e0ed228fccda1f39692059dd4c",
            "b718ff6835fcbdb22ba9eacccd7b2601",
        ),
    ),
    "tissuemnist": MedMnistFacts(
        flag="tissuemnist",
        published_task="multi-class",
        labels=(
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
        channels=1,
        dimensions=2,
        num_images=(165466, 23640, 47280),
        md5=(
            "ebe78ee8b05294063de985d821c1c34b",
            "123ece2eba09d0aa5d698fda57103344",
            "61b955355d7425a89687b06cca3ce0c2",
            "b077128c4a949f0a4eb01517f9037b9c",
        ),
    ),
    "organamnist": MedMnistFacts(
        flag="organamnist",
        published_task="multi-class",
        labels=_ORGANS,
        channels=1,
        dimensions=2,
        num_images=(34561, 6491, 17778),
        md5=(
            "68e3f8846a6bd62f0c9bf841c0d9eacc",
            "2dcccc29b88e6da5a01161ef20cda288",
            "eeae80d0a227a8d099027e1b3cfd3b60",
            "50747347e05c87dd3aaf92c49f9f3170",
        ),
    ),
    "organcmnist": MedMnistFacts(
        flag="organcmnist",
        published_task="multi-class",
        labels=_ORGANS,
        channels=1,
        dimensions=2,
        num_images=(12975, 2392, 8216),
        md5=(
            "b9ceb9546e10131b32923c5bbeaea2b1",
            "3ce34a8724ea6f548e6db4744d03b6a9",
            "773c1f009daa3fe5d9a2a201b2a7ed94",
            "050f5e875dc056f6768abf94ec9995d1",
        ),
    ),
    "organsmnist": MedMnistFacts(
        flag="organsmnist",
        published_task="multi-class",
        labels=_ORGANS,
        channels=1,
        dimensions=2,
        num_images=(13932, 2452, 8827),
        md5=(
            "9ab87b696fb54e2a387ebe992d6ed5f1",
            "53a6d115339d874c25e309a994ff46d3",
            "ded0c5fa01a95dc4978b956f613e9b8e",
            "b354719e553fbbb2513d5533f52a4cb1",
        ),
    ),
    "organmnist3d": MedMnistFacts(
        flag="organmnist3d",
        published_task="multi-class",
        labels=(
            "liver",
            "kidney-right",
            "kidney-left",
            "femur-right",
            "femur-left",
            "bladder",
            "heart",
            "lung-right",
            "lung-left",
            "spleen",
            "pancreas",
        ),
        channels=1,
        dimensions=3,
        num_images=(971, 161, 610),
        md5=("a0c5a1ff56af4f155c46d46fbb45a2fe", "58a2205adf14a9d0a189cb06dc78bf10"),
    ),
    "nodulemnist3d": MedMnistFacts(
        flag="nodulemnist3d",
        published_task="binary-class",
        labels=("benign", "malignant"),
        channels=1,
        dimensions=3,
        num_images=(1158, 165, 310),
        md5=("8755a7e9e05a4d9ce80a24c3e7a256f3", "c47c5b7d457bf6332200d2ea6d64ecd8"),
    ),
    "adrenalmnist3d": MedMnistFacts(
        flag="adrenalmnist3d",
        published_task="binary-class",
        labels=("normal", "hyperplasia"),
        channels=1,
        dimensions=3,
        num_images=(1188, 98, 298),
        md5=("bbd3c5a5576322bc4cdfea780653b1ce", "17721accfe9fb005146a47d33bc54b2f"),
    ),
    "fracturemnist3d": MedMnistFacts(
        flag="fracturemnist3d",
        published_task="multi-class",
        labels=("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
        channels=1,
        dimensions=3,
        num_images=(1027, 103, 240),
        md5=("6aa7b0143a6b42da40027a9dda61302f", "f01d7e6316aedf4210da0da5b7437b42"),
    ),
    "vesselmnist3d": MedMnistFacts(
        flag="vesselmnist3d",
        published_task="binary-class",
        labels=("vessel", "aneurysm"),
        channels=1,
        dimensions=3,
        num_images=(1335, 191, 382),
        md5=("b41fd4f7e7e2feedddb201585ecafa1b", "6bb274a8846e1097066dcd64e2c4520f"),
    ),
    "synapsemnist3d": MedMnistFacts(
        flag="synapsemnist3d",
        published_task="binary-class",
        labels=("inhibitory synapse", "excitatory synapse"),
        channels=1,
        dimensions=3,
        num_images=(1230, 177, 352),
        md5=("1235b78a3cd6280881dd7850a78eadb6", "43bd14ebf3af9d3dd072446fedc14d5e"),
    ),
}
