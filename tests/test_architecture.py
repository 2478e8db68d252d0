"""The rooms of docs/architecture.md, held to: imports point one way, modules stay small, help needs no PyTorch."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fromnoise"
MODULES = sorted(SOURCE.rglob("*.py"))
# What each room may import from; its own modules and the package's small tools always.
ROOMS = {
    "probability": set(),
    "diffusion": {"probability"},
    "networks": {"diffusion"},
    "plane": {"probability", "diffusion", "networks"},
    "data": set(),
    "generation": {"diffusion", "networks", "data"},
    "training": {"diffusion", "networks", "data", "generation"},
    "evaluation": {"data", "generation"},
    "experiment": {"data", "diffusion", "networks", "generation", "training", "evaluation"},
    "faces": {"probability", "diffusion", "networks", "plane", "data", "generation", "training", "evaluation"}
    | {"experiment"},
    "lab": {"probability", "diffusion", "networks", "plane", "data", "generation", "evaluation", "faces"}
    | {"training", "experiment"},
}
COMMAND = SOURCE / "faces" / "commands" / "lab.py"  # the one of faces that looks up, to the lab


@cache
def names(path):
    """What `path` imports, wherever in the file, as package.module.name."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def imported(path):
    """The rooms whose modules `path` imports; settings modules do not count."""
    for name in names(path):
        parts = name.split(".")
        if parts[0] == "fromnoise" and parts[1:2] and parts[1] in ROOMS and "settings" not in parts:
            yield parts[1]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    for path in (SOURCE / room).rglob("*.py"):
        beyond = set(imported(path)) - ROOMS[room] - {room} - ({"lab"} if path == COMMAND else set())
        assert not beyond, f"{path.name} imports from {beyond}"


def test_no_modules_import_each_other():
    """Not in a circle of any length, lazily neither. Only the package itself takes names from above, when asked."""
    modules = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for path in MODULES}
    left = {
        module: {known for name in names(path) for known in (name, name.rpartition(".")[0]) if known in modules}
        for module, path in modules.items()
    }
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_stay_under_400_lines(path):
    assert len(path.read_text().splitlines()) < 400


def test_the_document_names_every_module():
    """But those that share a folder of their own, or are settings."""
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
    layout = text.partition("```\n")[2].partition("```")[0]
    ours = [path for path in MODULES if len(path.relative_to(SOURCE).parts) <= 2 and path.parent.name != "lab"]
    named = [path.stem for path in ours if not path.stem.startswith("__") and path.stem != "settings"]
    assert [name for name in named if not re.search(rf"\b{name}\b", layout)] == []


def test_configuration_and_command_line_need_no_pytorch():
    modules = "fromnoise.config, fromnoise.faces.cli, fromnoise.faces.arguments, fromnoise.faces.console"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_who_knows_what_a_network_predicts():
    """Besides the denoiser, which docs/architecture.md says."""
    known = {path.stem for path in MODULES if re.search(r"denoiser\.prediction\b", path.read_text())}
    assert known == {"objective", "onnx_file"}


def test_who_knows_the_datas_scale():
    """Only `DataInfo`, which docs/architecture.md says: between its encode and decode, numbers have unit scale."""
    known, rooms = set(), ("diffusion", "networks", "generation", "training")
    for path in MODULES:
        if path.parent.name in rooms and re.search(r"\b127\.5\b|\bnormalise\(|(info|self)\.scale\b", path.read_text()):
            known.add(path.stem)
    assert known == {"data_info"}


@pytest.mark.parametrize("name", ["samplers", "steps", "bound", "flow", "ideal", "conditional"])
def test_samplers_and_bounds_see_of_a_network_only_the_denoisers_pair(name):
    imports = re.findall(r"^(?:from|import) .*", (SOURCE / "diffusion" / f"{name}.py").read_text(), re.MULTILINE)
    assert not [line for line in imports if re.search(r"\b(prediction|denoiser|networks)\b", line)]


def test_no_pickle_is_ever_loaded():
    for path in MODULES:
        assert not [name for name in names(path) if name.split(".")[0] in ("pickle", "cloudpickle", "joblib")], path
        nodes = list(ast.walk(ast.parse(path.read_text())))
        loads = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr == "load"]
        assert "torch.load" not in map(ast.unparse, loads), path
        allowed = [node for node in nodes if isinstance(node, ast.keyword) and node.arg == "allow_pickle"]
        assert all(ast.unparse(node.value) == "False" for node in allowed), path
