"""The library that speaks MCP reads nothing of the directory it is started in, and says nothing by itself."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = """
import os
import intact.assist.protocol
import fastmcp
assert fastmcp.settings.log_level != "DEBUG", fastmcp.settings.log_level
assert fastmcp.settings.check_for_updates == "off"
assert not [name for name in os.environ if name.startswith("FASTMCP_")], os.environ
print("done")
"""


def test_an_environment_file_of_the_working_directory_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FASTMCP_LOG_LEVEL=DEBUG\nFASTMCP_CHECK_FOR_UPDATES=stable\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
