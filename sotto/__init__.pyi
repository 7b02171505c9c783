from .api.compare import compare
from .api.connect import connect
from .api.errors import InputRefused, ModelRefused, SessionError
from .api.local import local
from .link import Answer

__version__: str

__all__ = ["Answer", "InputRefused", "ModelRefused", "SessionError", "__version__", "compare", "connect", "local"]
