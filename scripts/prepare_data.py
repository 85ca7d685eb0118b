"""Paint or read a data set and pack it for training, before the first cell asks for it:

python scripts/prepare_data.py data=camvid preset=desk
"""

import sys

from deepcontrol.config import ConfigError
from deepcontrol.data.samples import DataError
from deepcontrol.data.sources import open_data
from deepcontrol.entry import compose_cell

if __name__ == "__main__":
    try:
        splits = open_data(compose_cell(sys.argv[1:]).data, progress=True)
    except (ConfigError, DataError) as error:
        sys.exit(f"prepare_data.py: {error}")
    for name, packed in (("training", splits.train), ("validation", splits.validation)):
        print(
            f"{len(packed.names)} {name} images of {packed.images.shape[1]}x{packed.images.shape[2]}, "
            f"checksum {packed.checksum[:12]}"
        )
