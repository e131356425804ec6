"""An answer of an entry script that says its own status, type and headers."""

import json
from typing import Any, Dict, Optional, Tuple


class AMLResponse:
    """A body with a status.

    Args:
        message: text, bytes, or with `json_str` any value.
    """

    def __init__(
        self,
        message: Any,
        status_code: int = 200,
        response_headers: Optional[Dict[str, str]] = None,
        default_content_type: Optional[str] = None,
        json_str: bool = False,
    ) -> None:
        self.body = json.dumps(message) if json_str or not isinstance(message, (str, bytes)) else message
        self.status_code = status_code
        self.headers = dict(response_headers or {})
        given = {name.lower(): value for name, value in self.headers.items()}
        self.content_type = given.get("content-type") or default_content_type or "application/json"

    def fitq_answer(self) -> Tuple[Any, str, int, Any]:
        """Body, type, status and headers, for the scorer child."""
        return self.body, self.content_type, self.status_code, list(self.headers.items())
