"""The one base class of the study's own errors."""


class StudyError(Exception):
    """A mistake in what was asked, or a result that cannot be had.

    The message names the value, the place and the way out. The command line prints it as one line and exits with 2.
    """
