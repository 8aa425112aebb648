"""FastMCP, imported so that it reads no settings from the directory it happens to be started in, and stays quiet.

The one place it is imported from: nothing here may be imported by the commands that answer without tools.
"""

import logging
import os

_OURS = {
    "FASTMCP_ENV_FILE": os.devnull,  # else a `.env` of the working directory, which may be an agent's
    "FASTMCP_CHECK_FOR_UPDATES": "off",
    "FASTMCP_LOG_ENABLED": "false",  # else it writes to standard error by itself
    "FASTMCP_SHOW_SERVER_BANNER": "false",
}
_BEFORE = {name: os.environ.get(name) for name in _OURS}
os.environ.update(_OURS)

import httpx2  # noqa: E402
from fastmcp import Client, FastMCP  # noqa: E402
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport  # noqa: E402
from fastmcp.server.dependencies import get_http_request  # noqa: E402
from fastmcp.server.middleware import Middleware, MiddlewareContext  # noqa: E402
from fastmcp.tools.base import Tool as McpTool  # noqa: E402
from fastmcp.tools.base import ToolResult  # noqa: E402
from mcp import MCPError  # noqa: E402
from mcp_types import (  # noqa: E402
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ToolAnnotations,
)
from mcp_types import Tool as ListedTool  # noqa: E402

for _name, _value in _BEFORE.items():  # what we start is not to inherit them
    if _value is None:
        del os.environ[_name]
    else:
        os.environ[_name] = _value

# They log every call, with what was asked and from where; what goes wrong is told to the caller.
for _name in ("fastmcp", "mcp", "httpx2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

__all__ = [
    "CONNECTION_CLOSED",
    "CallToolRequest",
    "CallToolRequestParams",
    "CallToolResult",
    "Client",
    "FastMCP",
    "ListedTool",
    "MCPError",
    "McpTool",
    "Middleware",
    "MiddlewareContext",
    "StdioTransport",
    "StreamableHttpTransport",
    "ToolAnnotations",
    "ToolResult",
    "get_http_request",
    "httpx2",
]
