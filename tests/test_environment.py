"""The three lists of packages agree: pyproject.toml, environment.yml and requirements.lock."""

import re
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
CONDA_NAMES = {"torch": "pytorch"}


def test_conda_environment_has_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [Requirement(entry) for entry in environment if isinstance(entry, str)]
    wanted = {CONDA_NAMES.get(package.name, package.name): package.specifier for package in WANTED}
    assert {package.name: package.specifier for package in conda if package.name not in ("python", "pip")} == wanted
    (python,) = [package for package in conda if package.name == "python"]
    assert str(python.specifier) == PROJECT["requires-python"]
    assert {"pip": ["--no-deps --editable ."]} in environment


def test_the_lock_pins_every_package_within_its_range():
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, version = re.match(r"([\w.-]+)==([\w.]+)", line).groups()
        pins.setdefault(canonicalize_name(name), []).append(version)
    for package in WANTED:
        versions = pins[canonicalize_name(package.name)]
        assert all(package.specifier.contains(version, prereleases=True) for version in versions), package.name


def test_every_imported_package_is_declared():
    """What src and scripts import at the top level comes with the package, and nothing is declared for nothing."""
    names = {"PIL": "pillow", "hydra": "hydra-core", "yaml": "pyyaml"}
    imported = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        found = re.findall(r"^\s*(?:import (\w+)|from (\w+)[\w.]* import)", path.read_text(), re.MULTILINE)
        imported |= {plain or of for plain, of in found}
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    used = {canonicalize_name(names.get(name, name)) for name in imported}
    foreign = used - set(map(canonicalize_name, sys.stdlib_module_names)) - {"deepcontrol"}
    assert foreign - declared == set()
    assert declared - used == set()
