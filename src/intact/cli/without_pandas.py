"""Importing this keeps pyarrow from importing pandas, for which it has no use here: 40 MB and 0.13 s beside every agent.

`sys.modules["pandas"] = None` does not do: pyarrow's compiled import takes the None for the module.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _WithoutPandas:
    # Not derived from MetaPathFinder: importing that costs more than most modules here.
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target  # the name is enough
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by the recorder", name=fullname)
        return None


sys.meta_path.insert(0, _WithoutPandas())
