"""Marks the wheel as one for this platform: it carries compiled kernel objects and their loader, but no Python extension.

It also carries Intact's own documents, from which the assistant answers.
"""

from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PAGES = Path("intact", "assist", "knowledge", "pages")
DOCUMENTS = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])


class PlatformWheel(bdist_wheel):
    """Any Python 3, this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tag of the wheel's name."""
        return "py3", "none", super().get_tag()[2]


class PlatformDistribution(Distribution):
    """Not pure: its files differ by platform."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel is bound to a platform."""
        return True


class BuildWithPages(build_py):
    """The packages, and the documents as pages of the knowledge base."""

    def run(self) -> None:
        """Copy both into the build."""
        super().run()
        if self.editable_mode:
            return  # a checkout has them where they are written
        for document in DOCUMENTS:
            target = Path(self.build_lib) / PAGES / document.relative_to(ROOT)
            self.mkpath(str(target.parent))
            self.copy_file(str(document), str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What was written, the pages too."""
        pages = [str(Path(self.build_lib) / PAGES / document.relative_to(ROOT)) for document in DOCUMENTS]
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else pages)]


setup(distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel, "build_py": BuildWithPages})
