"""Static files under names with their hash, compressed with gzip alone: brotli makes the first start 8 s slower.

While one version replaces another, a page of one may ask the other for its files: it gets them as they are here.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from whitenoise.compress import Compressor
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

HASH = re.compile(r"\.[0-9a-f]{12}(?=\.\w+$)")


class GzipManifestStorage(CompressedManifestStaticFilesStorage):
    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(**{**options, "use_brotli": False})


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(self.static_prefix) and path not in self.files:
            request.path_info = HASH.sub("", path)  # kept by browsers for a minute, not for ever
        return super().__call__(request)
