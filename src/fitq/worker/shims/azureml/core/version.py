"""Which azureml this is: fitq's."""

import fitq

VERSION = __version__ = "%s+fitq" % fitq.__version__
