"""Paint or read a data set and pack it for training, before the first cell asks for it:

python scripts/prepare_data.py data=camvid preset=desk
python scripts/prepare_data.py data=cifar10
"""

import argparse
import sys

from deepcontrol.config import WHOLE_IMAGES, ConfigError
from deepcontrol.data.samples import DataError
from deepcontrol.data.sources import open_data
from deepcontrol.entry import compose_cell


def main(overrides: list[str]) -> None:
    labelled_whole = any(override == f"data={name}" for override in overrides for name in WHOLE_IMAGES[1])
    fitting = ["network=vgg16"] if labelled_whole else []  # a network that the data fits; which one does not matter
    splits = open_data(compose_cell([*fitting, *overrides]).data, progress=True)
    for name, packed in (("training", splits.train), ("validation", splits.validation)):
        print(
            f"{len(packed.names)} {name} images of {packed.images.shape[1]}x{packed.images.shape[2]}, "
            f"checksum {packed.checksum[:12]}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, such as data=camvid preset=desk")
    try:
        main(parser.parse_args().overrides)
    except (ConfigError, DataError) as error:
        sys.exit(f"prepare_data.py: {error}")
