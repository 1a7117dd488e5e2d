"""Record the flags of ``vllm serve`` from vLLM's own definitions, without running it.

Usage: ``pip download --no-deps vllm==VERSION``, then
``python tests/report/record_vllm_flags.py vllm-VERSION-*.whl > FLAGS`` where FLAGS is
``planner/report/deploy/vllm_flags.json``.

The definitions are read as syntax trees: importing them would need torch and a GPU's libraries.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path

#: Where flags are added, and classes whose fields become flags.
PARSERS = ("vllm/engine/arg_utils.py", "vllm/entrypoints/common/cli_args.py")
FIELDS = ("BaseFrontendArgs", "FrontendArgs")
QUANTIZATION = "vllm/model_executor/layers/quantization/__init__.py"
#: Flags that take one of some words: where these are listed.
CHOICES = {
    "--dtype": ("vllm/config/model.py", "ModelDType"),
    "--kv-cache-dtype": ("vllm/config/cache.py", "CacheDType"),
    "--quantization": (
        "vllm/model_executor/layers/quantization/__init__.py",
        "QuantizationMethods",
    ),
}


def added(tree):
    """Yield every flag that a parser is given by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            for each in node.args:
                if isinstance(each, ast.Constant) and str(each.value).startswith("--"):
                    yield each.value


def fields(tree):
    """Yield the flags that the fields of classes become."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in FIELDS:
            for each in node.body:
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    yield "--" + each.target.id.replace("_", "-")


def words(tree, name):
    """Return the words of the Literal called `name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
    raise LookupError(name)


def record(wheel):
    """Return what to keep of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        trees = {
            path: ast.parse(archive.read(path))
            for path in {*PARSERS, *(path for path, _ in CHOICES.values())}
        }
    flags = {flag for path in PARSERS for flag in (*added(trees[path]), *fields(trees[path]))}
    name, version = Path(wheel).name.split("-")[:2]
    return {
        "version": version,
        "source": f"PyPI {name.replace('_', '-')} {version}: {', '.join(PARSERS)} (Apache-2.0)",
        "flags": sorted(flags),
        "choices": {flag: words(trees[path], name) for flag, (path, name) in CHOICES.items()},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(record(sys.argv[1]), indent=1) + "\n")
