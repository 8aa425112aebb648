"""The numbers that templates of ours may bring themselves: parts of the name of what is measured, nothing that was found.

Each is a claim as the verifier reads it, and what has to stand in the same sentence.
"""

import re

from intact.assist.verify.claims import Claim

CONSTANTS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    # the kernel's load is over one, five and fifteen minutes
    (re.compile(r"(?:1|5|15) ?(?:min|分钟)"), re.compile(r"\bload\b|负载", re.IGNORECASE)),
    # its pressure over the last ten seconds
    (re.compile(r"ten seconds|10 ?(?:s|秒)"), re.compile(r"waited for CPU|pressure|压力", re.IGNORECASE)),
)


def is_constant(claim: Claim) -> bool:
    """Whether a number in a template is on the list."""
    return any(number.fullmatch(claim.text) and about.search(claim.sentence) for number, about in CONSTANTS)
