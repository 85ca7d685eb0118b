"""The data flows one way: no module imports against the arrow, none but the entry knows Hydra, none is unreachable."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "deepcontrol"
SCRIPTS = PACKAGE.parents[1] / "scripts"

# Each stage may import itself and what stands before it.
ARROW = [
    ("layers",), ("methods",), ("networks",), ("config",), ("data",), ("losses", "metrics"),
    ("gains",), ("assembly",),
    ("distributed", "epoch", "examples", "progress", "provenance", "records", "logger"), ("training",),
]  # fmt: skip
READERS = ("curves", "style", "caption", "studies", "findings", "report")  # right of the run folder: they only read files
ENTRIES = ("entry", "sweep", "")  # what scripts import; "" is the package itself


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}
OWN = {
    name: {other.removeprefix("deepcontrol.") for other in imports(path) if other.startswith("deepcontrol.")}
    & set(MODULES)
    for name, path in MODULES.items()
}


def stage(name: str) -> int:
    for place, members in enumerate(ARROW):
        if any(name == member or name.startswith(member + ".") for member in members):
            return place
    raise AssertionError(f"{name}: say in ARROW, READERS or ENTRIES where this module stands")


def test_no_import_against_the_arrow():
    for name in MODULES:
        if name.partition(".")[0] in READERS + ENTRIES:
            continue
        for other in OWN[name]:
            assert other.partition(".")[0] not in READERS + ENTRIES and stage(other) <= stage(name), f"{name} imports {other}"


def test_readers_only_read():
    allowed = {*READERS, "records"}
    for name in MODULES:
        if name.partition(".")[0] in READERS:
            others = {other.partition(".")[0] for other in OWN[name]}
            assert others <= allowed, f"{name} imports {others - allowed}"


def test_networks_never_name_a_method():
    for name, path in MODULES.items():
        if name.startswith("networks"):
            assert not any("methods" in other for other in imports(path)), name


def test_only_the_entry_knows_hydra():
    knowing = {name for name, path in MODULES.items() if any(other.split(".")[0] == "hydra" for other in imports(path))}
    assert knowing == {"entry"}


def test_no_module_is_unreachable_or_long():
    reached, waiting = set(), {""}
    for path in [*SCRIPTS.glob("*.py"), MODULES[""]]:
        waiting |= {other.removeprefix("deepcontrol.") for other in imports(path) if other.startswith("deepcontrol.")}
    waiting |= {name for name in MODULES if name.startswith("methods.")}  # found by name
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            waiting |= OWN[name] | {name.rpartition(".")[0]}
    assert set(MODULES) - reached == set()
    for name, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 250, name
