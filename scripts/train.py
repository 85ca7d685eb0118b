"""Train one cell, or a sweep of cells with --multirun:

python scripts/train.py method=agc network=segnet minibatch=4 lr=0.08
python scripts/train.py --multirun method=bn,agc minibatch=1,4,8
python scripts/train.py --multirun 'cell=glob(figure1_*)'
"""

import os
import sys
from dataclasses import fields

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from deepcontrol.config import Config, ConfigError, check
from deepcontrol.data.samples import DataError
from deepcontrol.distributed import DeviceError
from deepcontrol.records import RunError
from deepcontrol.training import train_cell


@hydra.main(version_base="1.3", config_path="../configs", config_name="config")
def main(composed: DictConfig) -> float:
    return train_cell(check(composed))


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise, so that one sentence can be made of what is expected
    try:
        main()
    except HydraException as error:
        sys.exit(f"train.py: {error}\nallowed keys: {', '.join(field.name for field in fields(Config))}")
    except (ConfigError, DataError, DeviceError, RunError) as error:
        sys.exit(f"train.py: {error}")
