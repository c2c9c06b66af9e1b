#!/usr/bin/env python3
"""Writes what fuzzing starts from: seeds.py FOLDER makes FOLDER/python and FOLDER/yaml.

The seeds are the deployment files, `prefect.yaml` files and Python files below `tests/corpus`, `tests/fixtures` and
`examples`; the shortest of them also repeated up to one megabyte, so that long inputs are tried from the start.
"""

import hashlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOW_FILE = b"\n# flow.py:\n"
LONGEST = 1 << 20
REPEATED = 12


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    texts = {"python": [], "yaml": []}
    for top in ("tests/corpus", "tests/fixtures", "examples"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".yaml", ".yml"):
                texts["yaml"].append(path.read_bytes())
            elif path.name.endswith(".deployment.py"):
                beside = [one for one in sorted(path.parent.glob("*.py")) if not one.name.endswith(".deployment.py")]
                flow = FLOW_FILE + beside[0].read_bytes() if beside else b""
                texts["python"].append(path.read_bytes() + flow)
            elif path.suffix == ".py":
                registers = b"from flow import load\nload.deploy(name='a', work_pool_name='p')\n"
                texts["python"] += [path.read_bytes(), registers + FLOW_FILE + path.read_bytes()]
    for target, seeds in texts.items():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        short = sorted((one for one in seeds if one), key=len)[:REPEATED]
        for seed in seeds + [one * (LONGEST // len(one)) for one in short]:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        print(f"{target}: {len(list(folder.iterdir()))} inputs", file=sys.stderr)


if __name__ == "__main__":
    main()
