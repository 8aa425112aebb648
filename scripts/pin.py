"""Writes requirements.txt: the exact versions that resolve together now, with hashes and without addresses."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ["setuptools", "wheel"]


def main() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [each for name in ("sensor", "store", "serve", "assist", "dev") for each in extras[name]] + BUILD
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", "-", *wanted]
    report = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    lines = []
    for item in report["install"]:
        hashes = item["download_info"]["archive_info"]["hashes"]
        lines.append(f"{item['metadata']['name'].lower()}=={item['metadata']['version']} --hash=sha256:{hashes['sha256']}")
    text = "# Written by scripts/pin.py; what is installed together is what is tested together.\n"
    (ROOT / "requirements.txt").write_text(text + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    main()
