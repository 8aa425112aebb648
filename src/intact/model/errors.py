"""The errors a person can meet.

IntactError              one clear line; exit code 1
├── UsageError           wrong use; exit code 2
├── NotSupported         this machine or kernel lacks something; names it and the remedy
└── CaptureError         a capture file or a segment cannot be read
"""


class IntactError(Exception):
    """A failure that is explained in one line."""

    exit_code = 1


class UsageError(IntactError):
    """Wrong use of a command, an option or the config."""

    exit_code = 2


class NotSupported(IntactError):
    """A feature this machine does not have; the message names the feature and the remedy."""


class CaptureError(IntactError):
    """A capture or segment that cannot be read further."""
