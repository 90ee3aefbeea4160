"""The one exception that the command-line tools turn into a single line."""


class UserError(Exception):
    """Something the user can mend; one sentence that names the file, the image or the option.

    `train_net.py` and the tools print it without a traceback and exit with status 2.
    """
