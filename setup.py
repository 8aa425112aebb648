"""Marks the wheel as one for this platform: it carries compiled kernel objects and their loader, but no Python extension."""

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


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


setup(distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
