"""An agent made with the OpenAI Agents SDK: Responses, streamed, real shell and file tools, all async."""

# The type checker of the house does not see the packages of this agent's own environment.
# mypy: disable-error-code="import-not-found,untyped-decorator"

import argparse
import asyncio
from pathlib import Path

from agents import Agent, Runner, function_tool

INSTRUCTIONS = "You are a careful assistant that works in the current directory with the tools you have."
SHELL_TIMEOUT_S = 120
MODEL = "gpt-5"
MAX_TURNS = 200


@function_tool
async def shell(command: str) -> str:
    """Run a command with bash and give its output and exit code.

    Args:
        command: the command line.
    """
    process = await asyncio.create_subprocess_exec(
        "/bin/bash", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), SHELL_TIMEOUT_S)
    return f"{output.decode(errors='replace')}[exit {process.returncode}]"


@function_tool
async def write_file(path: str, content: str) -> str:
    """Write a text file.

    Args:
        path: where.
        content: the whole text.
    """
    await asyncio.to_thread(Path(path).write_text, content)
    return f"wrote {len(content)} characters to {path}"


@function_tool
async def read_file(path: str) -> str:
    """Read a text file.

    Args:
        path: which.
    """
    return await asyncio.to_thread(Path(path).read_text)


async def work(prompt: str, *, stream: bool) -> str:
    """Work on one prompt; gives the last words."""
    agent = Agent(name="worker", instructions=INSTRUCTIONS, model=MODEL, tools=[shell, write_file, read_file])
    if not stream:
        return str((await Runner.run(agent, prompt, max_turns=MAX_TURNS)).final_output)
    result = Runner.run_streamed(agent, prompt, max_turns=MAX_TURNS)
    async for _ in result.stream_events():
        pass
    return str(result.final_output)


def main() -> None:
    """Work on one prompt and print the last words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--whole", action="store_true", help="ask for answers that are not streamed")
    arguments = parser.parse_args()
    print(asyncio.run(work(arguments.prompt, stream=not arguments.whole)))


if __name__ == "__main__":
    main()
