"""Requests made from the description of the API, many of them wrong: none is a fault of ours, each answer is as described."""

import subprocess
import sys
from pathlib import Path

from tests.serve.running import record, serving, wait_for_run

ST = Path(sys.executable).parent / "st"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_no_request_finds_a_fault_of_ours(tmp_path: Path) -> None:
    run = record(tmp_path / "data")
    with serving(tmp_path / "data", "--auth", "dev") as server:
        wait_for_run(server, run)
        command = [
            str(ST), "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", CHECKS,
            "--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "20261120", "--no-color",
            "--request-timeout", "20", "--suppress-health-check", "all", "--exclude-path", "/api/live",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=420, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
        assert server.ask("/healthz").status == 200
        metrics = server.ask("/metrics").body.decode()
    assert 'status="5' not in metrics.replace('status="503', "").replace('status="501', "")
