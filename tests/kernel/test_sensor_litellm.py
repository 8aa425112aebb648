"""A real gateway, the LiteLLM proxy with TLS on both sides, is told as a proxy from its first call on."""

import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from intact.model.facts import Agent
from tests.agents.install import program_of
from tests.kernel.watching import Watch
from tests.standin.certificates import make_certificates
from tests.standin.script import Script, Step
from tests.standin.standin import Standin

LITELLM = str(program_of("litellm") or "")
START_S = 120.0
CALLS = 3


@pytest.mark.kernel
@pytest.mark.agents
@pytest.mark.skipif(not LITELLM, reason="litellm is not installed: python -m tests.agents.install litellm")
def test_litellm_is_a_proxy(tmp_path: Path) -> None:
    keys = make_certificates(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    script = Script(steps=(Step(text="hello"),), tools_required=False)
    with Standin(script, log_dir=tmp_path / "log") as model, Watch(tmp_path) as watch:
        watch.start()
        config = tmp_path / "litellm.yaml"
        params = {"model": "openai/gpt-5", "api_base": f"{model.base_url}/v1", "api_key": "sk-dummy"}
        settings = {"ssl_verify": False}
        config.write_text(
            json.dumps({"model_list": [{"model_name": "m", "litellm_params": params}], "litellm_settings": settings})
        )
        gateway = watch.run(
            LITELLM, "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
            "--ssl_keyfile_path", str(keys.leaf_key), "--ssl_certfile_path", str(keys.leaf_pem),
            env={
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "SSL_VERIFY": "False",
                "HOME": str(tmp_path),
            },
        )  # fmt: skip
        said = gateway.process.stdout
        assert said is not None
        reader = threading.Thread(target=said.read)
        reader.start()
        curl = ["/usr/bin/curl", "-sk", "-o", "/dev/null"]
        watch.wait(lambda: subprocess.run([*curl, f"{url}/health/liveliness"]).returncode == 0, START_S)
        for number in range(CALLS):
            body = {"model": "m", "messages": [{"role": "user", "content": f"through-litellm {number}"}]}
            headers = ["-H", "content-type: application/json"]
            subprocess.run([*curl, "-d", json.dumps(body), *headers, f"{url}/v1/chat/completions"], check=True)
        proxy = watch.agent_of("through-litellm", count=CALLS)
        assert {(each.process_id, each.role, each.biz_type) for each in watch.facts(Agent)} == {(proxy.id, "proxy", 0)}
        assert all(exchange.complete for exchange in watch.exchanges_with("through-litellm"))
        gateway.process.terminate()
        gateway.process.wait(30)
        reader.join()
        said.close()
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()
