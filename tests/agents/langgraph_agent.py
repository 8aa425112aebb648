"""An agent made with LangGraph: chat completions, real shell and file tools, parallel calls in threads."""

# The type checker of the house does not see the packages of this agent's own environment.
# mypy: disable-error-code="import-not-found,untyped-decorator"

import argparse
import subprocess
from pathlib import Path

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

SYSTEM = "You are a careful assistant that works in the current directory with the tools you have."
SHELL_TIMEOUT_S = 120
MODEL = "gpt-4o"
MAX_GRAPH_STEPS = 400


@tool
def shell(command: str) -> str:
    """Run a command with bash and give its output and exit code."""
    done = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, timeout=SHELL_TIMEOUT_S, check=False
    )
    return f"{done.stdout}{done.stderr}[exit {done.returncode}]"


@tool
def write_file(path: str, content: str) -> str:
    """Write a text file."""
    Path(path).write_text(content)
    return f"wrote {len(content)} characters to {path}"


@tool
def read_file(path: str) -> str:
    """Read a text file."""
    return Path(path).read_text()


def main() -> None:
    """Work on one prompt and print the last words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--stream", action="store_true", help="ask for streamed answers")
    arguments = parser.parse_args()
    tools = [shell, write_file, read_file]
    model = ChatOpenAI(model=MODEL, streaming=arguments.stream, stream_usage=True, max_retries=2).bind_tools(tools)

    def ask(state: MessagesState) -> MessagesState:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition)
    graph.add_edge("tools", "ask")
    opening = MessagesState(messages=[SystemMessage(SYSTEM), HumanMessage(arguments.prompt)])
    final = graph.compile().invoke(opening, {"recursion_limit": MAX_GRAPH_STEPS})
    print(final["messages"][-1].content)


if __name__ == "__main__":
    main()
