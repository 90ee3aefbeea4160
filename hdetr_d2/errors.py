"""The exception that command-line tools print as a single line."""


class UserError(Exception):
    """Something the user can fix; one sentence that names the file, the image or the option.

    `train_net.py` and the tools print it without a traceback and exit with status 2.
    """
