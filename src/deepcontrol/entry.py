"""The one module that knows Hydra: composing a cell from configs/, and checking a whole sweep before it starts."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from deepcontrol.config import Config, ConfigError, check

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def compose_cell(overrides: Sequence[str]) -> Config:
    """The checked configuration that ``scripts/train.py`` would train with these overrides."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return check(compose("config", list(overrides)))


def cells(study: str) -> list[str]:
    """The names of a study's committed cells, such as ``figure1``, sorted."""
    return sorted(path.stem for path in (CONFIGS / "cell").glob(f"{study}_*.yaml"))


class CheckSweep(Callback):
    """Compose and check every cell of a --multirun before the first one starts.

    Hydra turns what a callback raises into a warning and goes on, all but SystemExit.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        loader = GlobalHydra.instance().config_loader()
        overrides = OverridesParser.create(loader).parse_overrides(list(config.hydra.overrides.task))
        for batch in BasicSweeper.split_arguments(overrides, max_batch_size=None):
            for cell in batch:
                composed = loader.load_configuration("config", list(cell), run_mode=RunMode.RUN)
                try:
                    check({key: composed[key] for key in composed if key != "hydra"})
                except ConfigError as error:
                    sys.exit(f"{' '.join(cell)}: {error}")
